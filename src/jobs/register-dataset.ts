import { storeFile } from "../models/artifact-store.ts";
import { readDatasetFile } from "../models/dataset-file.ts";
import { type DatasetRecord, type DatasetReference, findDataset, getDataset, registerDataset } from "../store/datasets.ts";
import type { Store } from "../store/store.ts";
import { contentOf, type DatasetContent, serialise } from "../text/dataset-content.ts";
import { datasets, loadDataset } from "../text/datasets.ts";

export interface DatasetServices {
  readonly store: Store;
  readonly dataDirectory: string;
  readonly datasetRoot: string;
}

/** A dataset's records: a file under the dataset root, or texts that came with the request. */
export type DatasetSource = { readonly path: string } | { readonly texts: readonly string[] };

/**
 * Registers a dataset: reads it, checks it, and keeps its records in the artifact store, so that the file it came from may go.
 * The same records registered twice are one dataset, under the first name they were given.
 *
 * @throws EspalierError what reading the file throws; INVALID_DATASET; DATASET_NAME_TAKEN
 */
export async function registerDatasetFrom(
  services: DatasetServices,
  source: DatasetSource,
  name: string | null,
  description = "",
): Promise<DatasetRecord> {
  const content = "path" in source ? await readDatasetFile(services.datasetRoot, source.path) : contentOf(source.texts);
  return keep(services, content, name, description);
}

/**
 * The dataset that is pointed at. A built-in one is registered when it is first asked for.
 *
 * @throws EspalierError DATASET_NOT_FOUND
 */
export async function datasetOf(services: Omit<DatasetServices, "datasetRoot">, reference: DatasetReference): Promise<DatasetRecord> {
  const found = await findDataset(services.store.prisma, reference);
  const builtIn = !found && "name" in reference ? datasets.find((d) => d.name === reference.name) : undefined;
  if (!builtIn) return found ?? getDataset(services.store.prisma, reference);
  return keep(services, { form: "TEXT", ...(await loadDataset(builtIn)) }, builtIn.name, builtIn.description);
}

async function keep(
  { store, dataDirectory }: Omit<DatasetServices, "datasetRoot">,
  content: DatasetContent,
  name: string | null,
  description: string,
): Promise<DatasetRecord> {
  const { sha256: digest, sizeBytes } = await storeFile(dataDirectory, serialise(content));
  const recordCount = content.form === "TEXT" ? content.documents.length : content.items.length;
  return registerDataset(store, { name, description, digest, form: content.form, recordCount, sizeBytes });
}
