import { providerHere } from "../../compute/provider-here.ts";
import { heldAgainst, requireMeasurable } from "../../rules/evaluation-rules.ts";
import { tokenizedModel } from "../../rules/tokenized-model.ts";
import { getDataset } from "../../store/datasets.ts";
import { recordEvaluation, settleComparison } from "../../store/evaluations.ts";
import { beginAnew } from "../../store/run-progress.ts";
import { type KindOfRun, withoutSteps } from "../run-kind.ts";
import { storedDataset } from "../stored-dataset.ts";
import { storedModel } from "../stored-model.ts";

/** Measures a model on a dataset. Nothing of it is stored before its end: each process begins anew. */
export const evaluation: KindOfRun<"EVALUATION", "evaluate"> = {
  ...withoutSteps,
  description: "A measurement of a model on a dataset.",
  role: "GENERATE",
  queue: "evaluate",
  task: "evaluate",
  makesModel: false,
  async fits({ store }, { modelId, datasetId, options }) {
    const { model } = await tokenizedModel(store, "input.subject", modelId ?? "");
    requireMeasurable(model, (await getDataset(store.prisma, { id: datasetId ?? "" })).form, options);
    await heldAgainst(store, model, false, options);
  },
  request: async (services, { modelId, datasetId, options }) => ({
    model: await storedModel(services, modelId),
    against: options.against ? await storedModel(services, options.against.modelId) : null,
    dataset: await storedDataset(services, datasetId),
    settings: { ...options, executionProvider: providerHere(services, options.executionProvider) },
  }),
  succeed: ({ store }, run, result) => recordEvaluation(store, run, result),
  async begin(tx, run) {
    await settleComparison(tx, run);
    await beginAnew(tx, run);
  },
  outOfMemory: () => ({ what: "the evaluation", advice: "let it use shorter sequences, or give it a worker with more memory" }),
};
