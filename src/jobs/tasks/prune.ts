import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { exportPruned } from "../../models/export.ts";
import { storeFolder } from "../../models/inspect.ts";
import { readDocuments } from "../../models/stored-dataset.ts";
import { openStoredModel } from "../../models/stored-model.ts";
import type { InspectedModel } from "../../models/types.ts";
import { methodNamed } from "../../pruning/methods/index.ts";
import { prune } from "../../pruning/prune.ts";
import { loadTokenizer } from "../../text/tokenizer.ts";
import type { Task } from "../compute.ts";

export const pruneTask: Task<"prune"> = async function* ({ model: stored, method, dataset, options, done }) {
  const { model, folder, graphFolder } = await openStoredModel(stored);
  const [tokenizer, documents] = await Promise.all([loadTokenizer(folder), readDocuments(dataset)]);
  const job = { model, folder: graphFolder, tokenizer, documents, method: methodNamed(method), options, done };
  const { removed, model: left } = yield* prune(job);
  const pruned = await inNewFolder(stored.dataDirectory, async (destination) => {
    await exportPruned({ model, folder, files: stored.files, removed, pruned: left, destination });
    return storeFolder(stored.dataDirectory, destination);
  });
  return { pruned, peakMemoryBytes: process.resourceUsage().maxRSS * 1024 };
};

/** A folder for the time of an export, on the file system of the artifacts it is copied to. */
async function inNewFolder(dataDirectory: string, work: (folder: string) => Promise<InspectedModel>): Promise<InspectedModel> {
  const exports = join(dataDirectory, "exports");
  await mkdir(exports, { recursive: true });
  const folder = await mkdtemp(join(exports, "model-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}
