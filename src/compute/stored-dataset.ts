import { readFile } from "node:fs/promises";
import { openArtifacts } from "../artifacts/artifacts.ts";
import { EspalierError } from "../errors.ts";
import { type DatasetContent, parseDataset } from "../text/dataset-content.ts";

/** Where a dataset's records are: the artifact store, and their digest. */
export interface StoredDataset {
  readonly dataDirectory: string;
  readonly digest: string;
}

/** The file of a dataset's records, one a line. @throws EspalierError ARTIFACT_MISSING */
export async function recordsFile({ dataDirectory, digest }: StoredDataset): Promise<string> {
  const path = await (await openArtifacts(dataDirectory)).path(digest);
  if (path !== null) return path;
  throw new EspalierError("ARTIFACT_MISSING", `the dataset's records (sha256 ${digest}) are not in the artifact store`, { sha256: digest });
}

/** @throws EspalierError ARTIFACT_MISSING */
export const readDataset = async (dataset: StoredDataset): Promise<DatasetContent> =>
  parseDataset(".jsonl", await readFile(await recordsFile(dataset)));

/** The documents of a dataset of texts. @throws EspalierError ARTIFACT_MISSING; INVALID_DATASET if it holds items */
export async function readDocuments(dataset: StoredDataset): Promise<readonly string[]> {
  const content = await readDataset(dataset);
  if (content.form === "TEXT") return content.documents;
  throw new EspalierError("INVALID_DATASET", "the dataset holds items, and calibration takes texts");
}
