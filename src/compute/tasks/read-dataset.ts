import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { recordsIn, serialise, sha256Of } from "../../text/dataset-content.ts";
import { readDatasetFile } from "../../text/dataset-file.ts";
import type { Task } from "../child.ts";

// biome-ignore lint/correctness/useYield: it has nothing to report before its result
export const readDatasetTask: Task<"readDataset"> = async function* ({ datasetRoot, path, name, destination }) {
  const content = await readDatasetFile(datasetRoot, path, name ?? path);
  const bytes = serialise(content);
  await mkdir(dirname(destination), { recursive: true });
  await writeFile(destination, bytes);
  return { form: content.form, digest: sha256Of(bytes), recordCount: recordsIn(content), sizeBytes: bytes.length };
};
