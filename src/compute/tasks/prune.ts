import { inFolder } from "../../in-folder.ts";
import { exportPruned } from "../../models/export.ts";
import { storeFolder } from "../../models/inspect.ts";
import { openStoredModel } from "../../models/stored-model.ts";
import { methodNamed } from "../../pruning/methods/index.ts";
import { prune } from "../../pruning/prune.ts";
import { loadTokenizer } from "../../text/tokenizer.ts";
import type { Task } from "../child.ts";
import { readDocuments } from "../stored-dataset.ts";

export const pruneTask: Task<"prune"> = async function* ({ model: stored, method, dataset, options, done, scratch }) {
  const { model, folder, graph, graphFolder } = await openStoredModel(stored);
  const [tokenizer, documents] = await Promise.all([loadTokenizer(folder, stored.vocabularySize), readDocuments(dataset)]);
  const job = { model, folder: graphFolder, tokenizer, documents, method: methodNamed(method), options, done, scratch };
  const { removed, ...known } = yield* prune(job);
  const pruned = await inFolder(scratch, async (destination) => {
    const notes = await exportPruned({ model, folder, files: stored.files, removed, known, destination });
    const child = await storeFolder(stored.dataDirectory, destination, graph);
    return { ...child, notes: [...child.notes, ...notes] };
  });
  return { pruned, peakMemoryBytes: process.resourceUsage().maxRSS * 1024 };
};
