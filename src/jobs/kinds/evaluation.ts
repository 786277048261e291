import { providerHere } from "../../compute/provider-here.ts";
import { beginEvaluation, recordEvaluation, recordEvaluationProgress } from "../../store/evaluations.ts";
import type { KindOfRun } from "../run-kind.ts";
import { storedDataset } from "../stored-dataset.ts";
import { storedModel } from "../stored-model.ts";

/** Measures a model on a dataset. Nothing of it is stored before its end: each process begins anew. */
export const evaluation: KindOfRun<"EVALUATION", "evaluate"> = {
  description: "A measurement of a model on a dataset.",
  role: "GENERATE",
  queue: "evaluate",
  task: "evaluate",
  makesModel: false,
  request: async (services, { modelId, datasetId, options }) => ({
    model: await storedModel(services, modelId),
    dataset: await storedDataset(services, datasetId),
    settings: { ...options, executionProvider: providerHere(services, options.executionProvider) },
  }),
  isPassing: () => true,
  record: async (store, run, progress) => {
    await recordEvaluationProgress(store, run, progress);
    return false;
  },
  succeed: ({ store }, run, result) => recordEvaluation(store, run, result),
  begin: beginEvaluation,
  steps: async () => 0,
  stands: async () => ({}),
  outOfMemory: () => ({ what: "the evaluation", advice: "let it use shorter sequences, or give it a worker with more memory" }),
};
