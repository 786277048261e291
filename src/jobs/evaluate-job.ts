import type { EvaluationProgress } from "../evaluation/evaluate.ts";
import {
  claimEvaluation,
  type EvaluationClaim,
  type EvaluationRecord,
  holdsEvaluation,
  recordEvaluation,
  recordEvaluationFailure,
  recordEvaluationProgress,
  releaseEvaluation,
} from "../store/evaluations.ts";
import { isConnectionLoss, throughReconnects } from "../store/reconnect.ts";
import { computeAgain, type Work } from "./compute-again.ts";
import { providerHere } from "./provider-here.ts";
import { storedDataset } from "./stored-dataset.ts";
import { storedModel } from "./stored-model.ts";
import { takeUp } from "./take-up.ts";
import type { JobServices } from "./worker.ts";

/** Progress comes with every run of the model; people look less often. */
const progressIntervalMs = 250;

/** Notes progress now and then, and not at any price. */
function recorder({ store }: JobServices, claim: EvaluationClaim): (progress: EvaluationProgress) => Promise<void> {
  let last = Number.NEGATIVE_INFINITY;
  return async (progress) => {
    if (performance.now() - last < progressIntervalMs) return;
    last = performance.now();
    await recordEvaluationProgress(store, claim, progress).catch((error) => {
      if (!isConnectionLoss(error)) throw error;
    });
  };
}

function workOf(services: JobServices, evaluation: EvaluationRecord): Work<"evaluate"> {
  const { modelId, datasetId, settings } = evaluation;
  const record = recorder(services, evaluation);
  return {
    task: "evaluate",
    request: async () => ({
      model: await storedModel(services, modelId),
      dataset: await storedDataset(services, datasetId),
      settings: { ...settings, executionProvider: providerHere(services, settings.executionProvider) },
    }),
    // Nothing of an evaluation is stored before its end: each process begins anew.
    record: async (progress) => {
      await record(progress);
      return false;
    },
    tidy: async () => {},
    outOfMemory: () => ({ what: "the evaluation", advice: "let it use shorter sequences, or give it a worker with more memory" }),
  };
}

/** Does an evaluation. @throws what `takeUp` throws */
export function evaluateJob(services: JobServices, id: string, signal: AbortSignal): Promise<void> {
  const { store } = services;
  return takeUp(
    services,
    id,
    {
      claim: () => claimEvaluation(store, id),
      holds: (claim) => holdsEvaluation(store, claim),
      release: (claim) => releaseEvaluation(store, claim),
      fail: (failure) => recordEvaluationFailure(store, id, failure),
      lostCode: "EVALUATION_LOST",
    },
    async (evaluation, either) => {
      const result = await computeAgain(services, id, workOf(services, evaluation), either);
      await throughReconnects(either, () => recordEvaluation(store, evaluation, result));
    },
    signal,
  );
}
