import type { EvaluationSettings } from "../evaluation/evaluate.ts";
import { createEvaluation, type EvaluationRecord } from "../store/evaluations.ts";
import type { Subject } from "../store/runs.ts";
import { checkOverlap } from "./check-overlap.ts";
import { chosenDataset, type DatasetChoice } from "./chosen-dataset.ts";
import { runSubject } from "./run-subject.ts";
import type { StartServices } from "./start-pruning.ts";
import { blaming, lengthRule, requireAll } from "./validate.ts";

/** What to measure, on what, and how: plain data. Errors call it `input`. */
export interface EvaluationRequest {
  readonly subject: Subject;
  readonly dataset: DatasetChoice;
  readonly settings: EvaluationSettings;
  /** Measure even on texts that the model was pruned or healed with. */
  readonly allowOverlap: boolean;
}

/**
 * Starts an evaluation: it waits for a worker.
 *
 * @throws EspalierError BAD_USER_INPUT, MODEL_NOT_FOUND, TOKENIZER_MISSING; RUN_NOT_FOUND, RUN_WITHOUT_RESULT; DATASET_NOT_FOUND,
 *   INVALID_DATASET, DATASET_OVERLAP: all with the argument at fault; OVERLOADED; the signal's reason. Nothing is stored then
 */
export async function startEvaluation(services: StartServices, request: EvaluationRequest, signal: AbortSignal): Promise<EvaluationRecord> {
  const { settings, allowOverlap } = request;
  const { sequenceLength, stride, maxTokens, maxItems } = settings;
  const { subject, model, calibrations } = await runSubject(services.store, request.subject);
  requireAll([
    lengthRule("input.sequenceLength", sequenceLength, model.architecture),
    ["input.stride", stride >= 1 && stride <= sequenceLength, "must be from 1 to sequenceLength"],
    ["input.maxTokens", maxTokens === null || maxTokens >= 1, "must be at least 1"],
    ["input.maxItems", maxItems === null || maxItems >= 1, "must be at least 1"],
  ]);
  const chosen = await chosenDataset(services, "input.dataset", request.dataset);
  const overlapRatio = await blaming("input.dataset", checkOverlap(services, await calibrations(), chosen, allowOverlap, signal));
  const dataset = await chosen.keep();
  return createEvaluation(services.store, { ...subject, dataset, settings, overlapRatio }, services.queue.addRun);
}
