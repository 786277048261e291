import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { openArtifacts } from "../../artifacts/artifacts.ts";
import { storeFile } from "../../artifacts/model-files.ts";
import { compress } from "../../compression/compress.ts";
import { compressionMethodNamed } from "../../compression/methods/index.ts";
import { EspalierError } from "../../errors.ts";
import { told } from "../../finished.ts";
import { exportCompressed } from "../../models/export.ts";
import { storeFolder } from "../../models/inspect.ts";
import { openStoredModel } from "../../models/stored-model.ts";
import { loadTokenizer } from "../../text/tokenizer.ts";
import type { Task } from "../child.ts";
import { readDocuments } from "../stored-dataset.ts";

/** @throws EspalierError ARTIFACT_MISSING */
async function filesOf(dataDirectory: string, sha256s: readonly string[]): Promise<string[]> {
  const artifacts = await openArtifacts(dataDirectory);
  const files: string[] = [];
  for (const [i, sha256] of sha256s.entries()) {
    const path = await artifacts.path(sha256);
    if (path === null)
      throw new EspalierError("ARTIFACT_MISSING", `what step ${i + 1} of the run made (sha256 ${sha256}) is not in the artifact store`, {
        sha256,
      });
    files.push(path);
  }
  return files;
}

export const compressTask: Task<"compress"> = async function* ({ model: stored, method, options, dataset, done, scratch }) {
  const { dataDirectory, files } = stored;
  const { model, folder, graph, graphFolder } = await openStoredModel(stored, "IN_FILE");
  const tokenizer = await loadTokenizer(folder, stored.vocabularySize);
  const documents = dataset ? await readDocuments(dataset) : [];
  // The run's worker clears it away, however the process ends.
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  const steps = compress({
    ...{ model, folder: graphFolder, tokenizer, documents, method: compressionMethodNamed(method), options, scratch },
    done: await filesOf(dataDirectory, done),
  });
  const { compressed, summary, notes } = yield* told(steps, async (event) =>
    event.type === "COMPRESSED" ? { ...event, file: await storeFile(dataDirectory, event.file) } : event,
  );
  const destination = join(scratch, "model");
  await mkdir(destination);
  await exportCompressed({ compressed, folder, files, destination });
  const child = await storeFolder(dataDirectory, destination, graph);
  return {
    compressed: { ...child, notes: [...child.notes, ...notes] },
    summary,
    peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
  };
};
