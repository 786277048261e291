import { inFolder } from "../../in-folder.ts";
import { exportPruned } from "../../models/export.ts";
import { storeFolder } from "../../models/inspect.ts";
import { openForPruning } from "../../models/stored-model.ts";
import { methodNamed } from "../../pruning/methods/index.ts";
import { objectiveOf } from "../../pruning/objectives.ts";
import { prune, wholeOf } from "../../pruning/prune.ts";
import { leastSquares, restoringTexts } from "../../recovery/least-squares.ts";
import { textsOf } from "../../text/dataset-content.ts";
import { readLabels } from "../../text/labels.ts";
import { readPooling } from "../../text/pooling.ts";
import { loadTokenizer } from "../../text/tokenizer.ts";
import type { Task } from "../child.ts";
import { readDataset } from "../stored-dataset.ts";

export const pruneTask: Task<"prune"> = async function* ({ model: stored, method, dataset, options, done, scratch }) {
  const { model, folder, graph, graphFolder } = await openForPruning(stored);
  const [tokenizer, content] = await Promise.all([loadTokenizer(folder, stored.vocabularySize), readDataset(dataset)]);
  const [labels, pooling] = [await readLabels(folder), stored.task === "EMBEDDING" ? await readPooling(folder) : undefined];
  const objective = objectiveOf(stored.task, { tokenizer, content, options, labels, ...(pooling ? { pooling } : {}) });
  const documents = textsOf(content);
  const job = { model, folder: graphFolder, tokenizer, documents, objective, method: methodNamed(method), options, done, scratch };
  const whole = await wholeOf(job);
  // Texts that are too few are told of before hours of work.
  const texts = options.restore === "LEAST_SQUARES" ? restoringTexts(job, whole) : null;
  const left = yield* prune(job, whole);
  const { pruned: restored, notes: restoring } = texts ? yield* leastSquares(job, texts, left) : { pruned: left.pruned, notes: [] };
  const { removed } = left;
  const known = { whole, pruned: restored };
  const pruned = await inFolder(scratch, async (destination) => {
    const notes = await exportPruned({ model, folder, files: stored.files, removed, known, destination });
    const child = await storeFolder(stored.dataDirectory, destination, graph);
    return { ...child, notes: [...child.notes, ...notes, ...restoring] };
  });
  return { pruned, peakMemoryBytes: process.resourceUsage().maxRSS * 1024 };
};
