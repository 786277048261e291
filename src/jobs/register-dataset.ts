import { storeFile } from "../models/artifact-store.ts";
import { readDatasetFile } from "../models/dataset-file.ts";
import type { StoredDataset } from "../models/stored-dataset.ts";
import {
  type DatasetRecord,
  type DatasetReference,
  findDataset,
  findDatasetOf,
  getDataset,
  registerDataset,
  requireFreeName,
} from "../store/datasets.ts";
import type { Store } from "../store/store.ts";
import { contentOf, type DatasetContent, type DatasetForm, digestOf, serialise } from "../text/dataset-content.ts";
import { datasets, loadDataset } from "../text/datasets.ts";

export interface DatasetServices {
  readonly store: Store;
  readonly dataDirectory: string;
  readonly datasetRoot: string;
}

/** A dataset's records: a file under the dataset root, or texts that came with the request. */
export type DatasetSource = { readonly path: string } | { readonly texts: readonly string[] };

/** A dataset that is stored, or will be once it is kept: what depends on it can be checked before. */
export interface DatasetCandidate {
  /** Null until it is stored. */
  readonly id: string | null;
  readonly form: DatasetForm;
  /** Where its records are, or the records themselves. */
  readonly records: StoredDataset | DatasetContent;
  /** Stores it, unless it is stored. @throws EspalierError DATASET_NAME_TAKEN */
  keep(): Promise<DatasetRecord>;
}

/**
 * Reads a dataset and checks it. Its records are kept in the artifact store, so that the file they came from may go; the same
 * records are one dataset, under the first name they were given.
 *
 * @throws EspalierError what reading the file throws; INVALID_DATASET
 */
export async function datasetFrom(
  services: DatasetServices,
  source: DatasetSource,
  name: string | null,
  description = "",
): Promise<DatasetCandidate> {
  const content = "path" in source ? await readDatasetFile(services.datasetRoot, source.path) : contentOf(source.texts);
  return candidate(services, content, name, description);
}

/**
 * The dataset that is pointed at. A built-in one is stored when it is first kept.
 *
 * @throws EspalierError DATASET_NOT_FOUND
 */
export async function datasetOf(services: Omit<DatasetServices, "datasetRoot">, reference: DatasetReference): Promise<DatasetCandidate> {
  const found = await findDataset(services.store.prisma, reference);
  const builtIn = !found && "name" in reference ? datasets.find((d) => d.name === reference.name) : undefined;
  if (builtIn) return candidate(services, { form: "TEXT", ...(await loadDataset(builtIn)) }, builtIn.name, builtIn.description);
  return stored(services, found ?? (await getDataset(services.store.prisma, reference)));
}

function stored({ dataDirectory }: Omit<DatasetServices, "datasetRoot">, record: DatasetRecord): DatasetCandidate {
  const { id, form, digest } = record;
  return { id, form, records: { dataDirectory, digest }, keep: async () => record };
}

async function candidate(
  services: Omit<DatasetServices, "datasetRoot">,
  content: DatasetContent,
  name: string | null,
  description: string,
): Promise<DatasetCandidate> {
  const { store, dataDirectory } = services;
  const { form } = content;
  const bytes = serialise(content);
  const digest = digestOf(bytes);
  const known = await findDatasetOf(store.prisma, digest);
  if (known && (known.name !== null || name === null)) return stored(services, known);
  const recordCount = form === "TEXT" ? content.documents.length : content.items.length;
  const keep = async () => {
    if (name !== null) await requireFreeName(store.prisma, name);
    await storeFile(dataDirectory, bytes);
    return registerDataset(store, { name, description, digest, form, recordCount, sizeBytes: bytes.length });
  };
  return { id: known?.id ?? null, form, records: content, keep };
}
