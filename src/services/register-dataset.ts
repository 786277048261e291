import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { openArtifacts } from "../artifacts/artifacts.ts";
import { folderOfUpload } from "../artifacts/upload-folder.ts";
import { computeOnce } from "../compute/compute-once.ts";
import type { StoredDataset } from "../compute/stored-dataset.ts";
import type { DescribedDataset, ReadDatasetRequest } from "../compute/tasks.ts";
import { EspalierError } from "../errors.ts";
import { dropUpload } from "../jobs/import-source.ts";
import { blaming, isPath, requireAll, textRule } from "../rules/validate.ts";
import { sha256OfStream } from "../sha256-of-stream.ts";
import {
  type DatasetRecord,
  type DatasetReference,
  findDataset,
  findDatasetOf,
  getDataset,
  requireFreeName,
  registerDataset as storeDataset,
} from "../store/datasets.ts";
import type { Store } from "../store/store.ts";
import { contentOf, type DatasetContent, type DatasetForm, recordsIn, serialise, sha256Of } from "../text/dataset-content.ts";
import { datasets, loadDataset } from "../text/datasets.ts";
import { datasetNameRules, longestDescription } from "./update-dataset.ts";
import { type Client, completeUpload } from "./uploads.ts";

export interface DatasetServices {
  readonly store: Store;
  readonly dataDirectory: string;
  readonly datasetRoot: string;
}

/** A dataset that is stored, or will be once it is kept: what depends on it can be checked before. */
export interface DatasetCandidate {
  /** Null until it is stored. */
  readonly id: string | null;
  readonly form: DatasetForm;
  /** Of its records, as they are stored. */
  readonly sizeBytes: number;
  /** Where its records are, or the records themselves. */
  readonly records: StoredDataset | DatasetContent;
  /** Stores it, unless it is stored. @throws EspalierError DATASET_NAME_TAKEN */
  keep(): Promise<DatasetRecord>;
}

/**
 * Texts as a dataset. Its records are kept in the artifact store; the same records are one dataset, under the first name they were given.
 *
 * @throws EspalierError INVALID_DATASET
 */
export async function datasetFrom(
  services: Omit<DatasetServices, "datasetRoot">,
  texts: readonly string[],
  name: string | null,
  description = "",
): Promise<DatasetCandidate> {
  return candidate(services, contentOf(texts), name, description);
}

/** What to register: plain data. Errors call it `input`. */
export interface RegisterDatasetRequest {
  readonly name: string;
  readonly description: string;
  /** A file under the dataset root, one that was sent, or documents. */
  readonly source: { readonly path: string } | { readonly uploadId: string } | { readonly texts: readonly string[] };
}

/**
 * Registers a dataset: its records are kept, so that a file may go. The same records registered twice are one dataset, under its first name.
 *
 * @throws EspalierError BAD_USER_INPUT; what reading a file throws; UPLOAD_NOT_FOUND, UPLOAD_INCOMPLETE; INVALID_DATASET, DATASET_NAME_TAKEN:
 *   all with the argument at fault; OVERLOADED; the signal's reason
 */
export async function registerDataset(
  services: DatasetServices,
  { name, description, source }: RegisterDatasetRequest,
  client: Client,
  signal: AbortSignal,
): Promise<DatasetRecord> {
  requireAll([
    ...datasetNameRules(name),
    textRule("input.description", description, longestDescription),
    ["input.source.path", !("path" in source) || isPath(source.path), "must be a path of 1 to 4,096 characters"],
  ]);
  const called = name.trim();
  const { datasetRoot } = services;
  if ("path" in source) {
    const file = { datasetRoot, path: source.path, name: null };
    return blaming("input.source.path", registerFile(services, file, called, description, signal));
  }
  if ("uploadId" in source) {
    const file = await blaming("input.source.uploadId", sentFile(services, source.uploadId, client));
    const dataset = await blaming("input.source.uploadId", registerFile(services, file, called, description, signal));
    await dropUpload(services, source.uploadId);
    return dataset;
  }
  const dataset = await blaming("input.source.texts", datasetFrom(services, source.texts, called, description));
  return blaming("input.name", dataset.keep());
}

type File = Pick<ReadDatasetRequest, "datasetRoot" | "path" | "name">;

/** The one file of an upload. @throws EspalierError UPLOAD_NOT_FOUND, UPLOAD_INCOMPLETE; INVALID_DATASET if there are several */
async function sentFile(services: Pick<DatasetServices, "store" | "dataDirectory">, uploadId: string, client: Client): Promise<File> {
  const { id, files } = await completeUpload(services, uploadId, client);
  const [file, ...others] = files;
  if (!file || others.length > 0)
    throw new EspalierError("INVALID_DATASET", `a dataset is one file; the upload has ${files.length}`, { files: files.length });
  const { path: name, sha256 } = file;
  const datasetRoot = folderOfUpload(services.dataDirectory, id);
  if (sha256 !== null && (await sha256OfStream(createReadStream(join(datasetRoot, "0")))).sha256 !== sha256)
    throw new EspalierError("DIGEST_MISMATCH", `"${name}" does not have the sha256 that was announced: send it again`, { path: name });
  return { datasetRoot, path: "0", name };
}

/** Reads a file in a process of its own, for it may be large. */
async function registerFile(
  services: DatasetServices,
  file: File,
  name: string,
  description: string,
  signal: AbortSignal,
): Promise<DatasetRecord> {
  const { store, dataDirectory } = services;
  const scratch = join(dataDirectory, "exports", `${randomUUID()}.jsonl`);
  try {
    const described = await computeOnce("readDataset", { ...file, destination: scratch }, signal);
    const known = await findDatasetOf(store.prisma, described.digest);
    return known?.name != null ? known : await blaming("input.name", keep(services, described, scratch, name, description));
  } finally {
    await rm(scratch, { force: true });
  }
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
  const { id, form, sizeBytes, digest } = record;
  return { id, form, sizeBytes, records: { dataDirectory, digest }, keep: async () => record };
}

async function candidate(
  services: Omit<DatasetServices, "datasetRoot">,
  content: DatasetContent,
  name: string | null,
  description: string,
): Promise<DatasetCandidate> {
  const { store } = services;
  const { form } = content;
  const bytes = serialise(content);
  const digest = sha256Of(bytes);
  const known = await findDatasetOf(store.prisma, digest);
  if (known && (known.name !== null || name === null)) return stored(services, known);
  const described = { form, digest, recordCount: recordsIn(content), sizeBytes: bytes.length };
  const { sizeBytes } = described;
  return { id: known?.id ?? null, form, sizeBytes, records: content, keep: () => keep(services, described, bytes, name, description) };
}

/** @throws EspalierError DATASET_NAME_TAKEN */
async function keep(
  { store, dataDirectory }: Omit<DatasetServices, "datasetRoot">,
  described: DescribedDataset,
  source: string | Uint8Array,
  name: string | null,
  description: string,
): Promise<DatasetRecord> {
  if (name !== null) await requireFreeName(store.prisma, name, described.digest);
  const artifacts = await openArtifacts(dataDirectory);
  await artifacts.add(source);
  return storeDataset(store, { name, description, ...described }, async () => {
    if (!(await artifacts.has(described.digest))) await artifacts.add(source);
  });
}
