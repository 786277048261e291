import { EspalierError } from "../errors.ts";
import type { AgainstSettings, EvaluationSettings } from "../evaluation/evaluate.ts";
import { createEvaluation, type EvaluationRecord } from "../store/evaluations.ts";
import type { ModelRecord } from "../store/models.ts";
import type { Subject } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { answerFinder } from "../text/answer-pattern.ts";
import { checkOverlap } from "./check-overlap.ts";
import { chosenDataset, type DatasetChoice } from "./chosen-dataset.ts";
import { runSubject } from "./run-subject.ts";
import { modelOfSameTokens } from "./same-tokens.ts";
import type { StartServices } from "./start-pruning.ts";
import { blaming, lengthRule, type Requirement, requireAll } from "./validate.ts";

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
  const { sequenceLength, stride, maxTokens, maxItems } = settings;
  const { subject, model, calibrations } = await runSubject(services.store, request.subject);
  const against = await requestedAgainst(services.store, subject, model, settings);
  requireAll([
    lengthRule("input.sequenceLength", sequenceLength, model.architecture),
    ["input.stride", stride >= 1 && stride <= sequenceLength, "must be from 1 to sequenceLength"],
    ["input.maxTokens", maxTokens === null || maxTokens >= 1, "must be at least 1"],
    ...generationRules(settings),
    ["input.maxItems", maxItems === null || maxItems >= 1, "must be at least 1"],
  ]);
  const chosen = await chosenDataset(services, "input.dataset", request.dataset);
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

/** What is asked of answers that a model writes. @throws EspalierError INVALID_PATTERN */
function generationRules({ maxNewTokens = 1, stop = [], answer }: EvaluationSettings): Requirement[] {
  if (answer)
    try {
      answerFinder(answer);
    } catch (error) {
      if (!(error instanceof EspalierError)) throw error;
      throw new EspalierError(error.code, error.message, { argument: "input.answer.pattern" });
    }
  return [
    ["input.maxNewTokens", maxNewTokens >= 1 && maxNewTokens <= 4096, "must be from 1 to 4,096"],
    ["input.stop", stop.length <= 16 && stop.every((s) => s !== "" && s.length <= 100), "must be at most 16 texts of 1 to 100 characters"],
  ];
}

/** The model to hold it against, as it is recorded; null where none was named. */
async function requestedAgainst(
  store: Store,
  subject: Subject,
  model: ModelRecord,
  { against, sequenceLength }: EvaluationSettings,
): Promise<AgainstSettings | null> {
  if (!against) return null;
  const { prompts, newTokens } = against;
  const argument = "input.against.modelId";
  const isItself = "modelId" in subject && against.modelId.toLowerCase() === model.id;
  requireAll([
    [argument, !isItself, "must be another model: it is like itself"],
    ["input.against.prompts", prompts >= 0 && prompts <= 1000, "must be from 0 to 1,000"],
    ["input.against.newTokens", newTokens >= 1 && newTokens <= 1024, "must be from 1 to 1,024"],
  ]);
  const other = await modelOfSameTokens(store, model, { id: against.modelId, argument, what: "other model", code: "AGAINST_DIFFERS" });
  const { contextLength } = other.architecture;
  requireAll([
    [
      "input.sequenceLength",
      contextLength === null || sequenceLength <= contextLength,
      `must be no more than the context length of the model it is held against, ${contextLength}`,
    ],
  ]);
  return { modelId: other.id, prompts, newTokens };
}
