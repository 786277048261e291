import type { EvaluationSettings } from "../evaluation/evaluate.ts";
import { checkOverlap } from "../rules/check-overlap.ts";
import { evaluationRules, heldAgainst, requireMeasurable } from "../rules/evaluation-rules.ts";
import { blaming, requireAll } from "../rules/validate.ts";
import { createEvaluation, type EvaluationRecord } from "../store/evaluations.ts";
import type { Subject } from "../store/runs.ts";
import { chosenDataset, type DatasetChoice } from "./chosen-dataset.ts";
import { runSubject } from "./run-subject.ts";
import type { StartServices } from "./start-pruning.ts";

/** What to measure, on what, and how: plain data. Errors call it `input`. */
export interface EvaluationRequest {
  readonly subject: Subject;
  readonly dataset: DatasetChoice;
  readonly settings: EvaluationSettings;
  /** Measure even on texts that the model was pruned, healed or compressed with. */
  readonly allowOverlap: boolean;
}

/**
 * Starts an evaluation: it waits for a worker.
 *
 * @throws EspalierError BAD_USER_INPUT, MODEL_NOT_FOUND, TOKENIZER_MISSING; RUN_NOT_FOUND, RUN_WITHOUT_RESULT; DATASET_NOT_FOUND,
 *   INVALID_DATASET, DATASET_OVERLAP; AGAINST_DIFFERS, INVALID_PATTERN: all with the argument at fault; OVERLOADED; the signal's reason. Nothing is stored then
 */
export async function startEvaluation(services: StartServices, request: EvaluationRequest, signal: AbortSignal): Promise<EvaluationRecord> {
  const { settings, allowOverlap } = request;
  const { subject, model, isPending, calibrations } = await runSubject(services.store, request.subject);
  requireAll(evaluationRules(settings));
  const chosen = await chosenDataset(services, "input.dataset", request.dataset);
  if (model) requireMeasurable(model, chosen.form, settings);
  const against = await heldAgainst(services.store, model, isPending, settings);
  requireAll([
    [
      "input.against",
      against === null || chosen.form !== "MULTIPLE_CHOICE",
      "needs a dataset of texts or prompts: this one has items with choices",
    ],
  ]);
  const overlapRatio = await blaming("input.dataset", checkOverlap(services, await calibrations(), chosen, allowOverlap, signal));
  const dataset = await chosen.keep();
  const measured = { ...subject, dataset, settings: { ...settings, against }, overlapRatio };
  return createEvaluation(services.store, measured, services.queue.addRun);
}
