import { requireFiles } from "../../artifacts/model-files.ts";
import { providerHere } from "../../compute/provider-here.ts";
import { requirePrunable } from "../../rules/pruning-rules.ts";
import { taskRules } from "../../rules/task-rules.ts";
import { tokenizedModel } from "../../rules/tokenized-model.ts";
import { requireAll } from "../../rules/validate.ts";
import { getDataset } from "../../store/datasets.ts";
import { taskOfModel } from "../../store/models.ts";
import {
  countIterations,
  pruningStands,
  recordIteration,
  recordPassing,
  recordPruned,
  recordStart,
  runIterations,
} from "../../store/pruning-runs.ts";
import type { KindOfRun } from "../run-kind.ts";
import { storedDataset } from "../stored-dataset.ts";
import { storedModel } from "../stored-model.ts";

/** Makes a smaller model of a model, one iteration at a time. Iterations are its steps: it goes on after the last that is stored. */
export const pruning: KindOfRun<"PRUNING", "prune"> = {
  description: "The making of a smaller model from a model, one removal at a time.",
  role: "PRUNE",
  queue: "prune",
  task: "prune",
  makesModel: true,
  fits: async ({ store }, { modelId, method, datasetId, options }) => {
    const { model } = await tokenizedModel(store, "input.subject", modelId ?? "");
    const { form } = await getDataset(store.prisma, { id: datasetId ?? "" });
    requireAll(taskRules(taskOfModel(model), method, form));
    await requirePrunable(store.prisma, model, options);
  },
  request: async (services, run, scratch) => ({
    model: await storedModel(services, run.modelId),
    method: run.method,
    // A run ends on the provider that it began on: others may round otherwise.
    options: { ...run.options, executionProvider: run.executionProvider ?? providerHere(services, run.options.executionProvider) },
    dataset: await storedDataset(services, run.datasetId),
    done: (await runIterations(services.store.prisma, run.id)).map(({ index, ...iteration }) => ({ ...iteration, iteration: index })),
    scratch,
  }),
  isPassing: ({ type }) => type === "SCORING" || type === "RESTORING",
  record: async ({ store }, run, event) => {
    if (event.type === "STARTED") {
      const { type, ...payload } = event;
      await recordStart(store, run, payload);
    } else if (event.type === "SCORING") {
      const { type, ...payload } = event;
      await recordPassing(store, run, type, payload);
    } else if (event.type === "RESTORING") {
      const { type, ...payload } = event;
      await recordPassing(store, run, type, payload);
    } else if (event.type === "ITERATION") await recordIteration(store, run, event);
    return event.type === "ITERATION";
  },
  succeed: ({ store, queue, dataDirectory }, run, { pruned, peakMemoryBytes }) =>
    recordPruned(store, run, pruned, peakMemoryBytes, queue.addRun, (files) => requireFiles(dataDirectory, files)),
  begin: async () => {},
  steps: countIterations,
  stands: pruningStands,
  outOfMemory: (steps) => ({
    what: `iteration ${steps + 1}`,
    advice: "let it use fewer samples or shorter sequences, or give it a worker with more memory",
  }),
};
