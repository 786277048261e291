import { EspalierError } from "../errors.ts";
import type { EvaluationResult } from "../evaluation/evaluate.ts";
import { claimEvaluation, type EvaluationRecord, recordEvaluation, recordEvaluationFailure } from "../store/evaluations.ts";
import { ComputeProcess } from "./compute-process.ts";
import { failureOf, hasCode } from "./failure.ts";
import { storedModel } from "./stored-model.ts";
import type { JobServices } from "./worker.ts";

async function compute(services: JobServices, evaluation: EvaluationRecord, signal: AbortSignal): Promise<EvaluationResult> {
  const { modelId, dataset, settings } = evaluation;
  const model = await storedModel(services, modelId);
  const process = new ComputeProcess();
  try {
    const steps = process.run("evaluate", { model, dataset, ...settings }, signal);
    for (let step = await steps.next(); ; step = await steps.next()) if (step.done) return step.value;
  } finally {
    await process.kill();
  }
}

/**
 * Does an evaluation. It ends SUCCEEDED or FAILED.
 *
 * @throws when it should be taken up again: `signal` aborted, or the database failed
 */
export async function evaluateJob(services: JobServices, id: string, signal: AbortSignal): Promise<void> {
  const evaluation = await claimEvaluation(services.store, id);
  if (!evaluation) return;
  try {
    await recordEvaluation(services.store, evaluation, await compute(services, evaluation, signal));
  } catch (error) {
    if (hasCode(error, "EVALUATION_LOST")) return;
    if (signal.aborted || !(error instanceof EspalierError)) throw error;
    await recordEvaluationFailure(services.store, id, failureOf(error, id, services.logger));
  }
}
