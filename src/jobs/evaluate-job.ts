import { EspalierError } from "../errors.ts";
import type { EvaluationResult } from "../evaluation/evaluate.ts";
import {
  claimEvaluation,
  type EvaluationRecord,
  holdsEvaluation,
  recordEvaluation,
  recordEvaluationFailure,
  recordEvaluationProgress,
} from "../store/evaluations.ts";
import { ComputeProcess } from "./compute-process.ts";
import { failureOf, hasCode } from "./failure.ts";
import { providerHere } from "./provider-here.ts";
import { storedDataset } from "./stored-dataset.ts";
import { storedModel } from "./stored-model.ts";
import { watchClaim } from "./watch-claim.ts";
import type { JobServices } from "./worker.ts";

/** Progress comes with every run of the model; people look less often. */
const progressIntervalMs = 250;

async function compute(services: JobServices, evaluation: EvaluationRecord, signal: AbortSignal): Promise<EvaluationResult> {
  const { modelId, datasetId, settings } = evaluation;
  const [model, dataset] = await Promise.all([storedModel(services, modelId), storedDataset(services, datasetId)]);
  const process = new ComputeProcess();
  let last = Number.NEGATIVE_INFINITY;
  try {
    const executionProvider = providerHere(services, settings.executionProvider);
    const steps = process.run("evaluate", { model, dataset, settings: { ...settings, executionProvider } }, signal);
    for (let step = await steps.next(); ; step = await steps.next()) {
      if (step.done) return step.value;
      if (performance.now() - last < progressIntervalMs) continue;
      last = performance.now();
      await recordEvaluationProgress(services.store, evaluation, step.value);
    }
  } finally {
    await process.kill();
  }
}

/**
 * Does an evaluation. It ends SUCCEEDED or FAILED, unless it is cancelled meanwhile.
 *
 * @throws when it should be taken up again: `signal` aborted, or the database failed
 */
export async function evaluateJob(services: JobServices, id: string, signal: AbortSignal): Promise<void> {
  const evaluation = await claimEvaluation(services.store, id);
  if (!evaluation) return;
  const lost = new AbortController();
  const over = new AbortController();
  const watching = watchClaim(services, id, () => holdsEvaluation(services.store, evaluation), lost, over.signal);
  try {
    const result = await compute(services, evaluation, AbortSignal.any([signal, lost.signal]));
    await recordEvaluation(services.store, evaluation, result);
  } catch (error) {
    if (lost.signal.aborted || hasCode(error, "EVALUATION_LOST")) return;
    if (signal.aborted || !(error instanceof EspalierError)) throw error;
    await recordEvaluationFailure(services.store, id, failureOf(error, id, services.logger));
  } finally {
    over.abort();
    await watching;
  }
}
