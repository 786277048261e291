import { EspalierError } from "../errors.ts";
import type { AgainstSettings, EvaluationSettings } from "../evaluation/evaluate.ts";
import type { ModelTask } from "../model-task.ts";
import { type ModelRecord, taskOfModel } from "../store/models.ts";
import type { Store } from "../store/store.ts";
import { answerFinder } from "../text/answer-pattern.ts";
import type { DatasetForm } from "../text/dataset-content.ts";
import { modelOfSameTokens } from "./same-tokens.ts";
import { requireTask } from "./task-rules.ts";
import { lengthRule, type Requirement, requireAll } from "./validate.ts";

/** What an evaluation's settings must be. @throws EspalierError INVALID_PATTERN */
export function evaluationRules(settings: EvaluationSettings): Requirement[] {
  const { sequenceLength, stride, maxTokens, maxItems, maxNewTokens = 1, stop = [], answer, against } = settings;
  if (answer)
    try {
      answerFinder(answer);
    } catch (error) {
      if (!(error instanceof EspalierError)) throw error;
      throw new EspalierError(error.code, error.message, { argument: "input.answer.pattern" });
    }
  return [
    ["input.stride", stride >= 1 && stride <= sequenceLength, "must be from 1 to sequenceLength"],
    ["input.maxTokens", maxTokens === null || maxTokens >= 1, "must be at least 1"],
    ["input.maxNewTokens", maxNewTokens >= 1 && maxNewTokens <= 4096, "must be from 1 to 4,096"],
    ["input.stop", stop.length <= 16 && stop.every((s) => s !== "" && s.length <= 100), "must be at most 16 texts of 1 to 100 characters"],
    ["input.maxItems", maxItems === null || maxItems >= 1, "must be at least 1"],
    ["input.against.prompts", !against || (against.prompts >= 0 && against.prompts <= 1000), "must be from 0 to 1,000"],
    ["input.against.newTokens", !against || (against.newTokens >= 1 && against.newTokens <= 1024), "must be from 1 to 1,024"],
  ];
}

/** The forms of datasets that a model of a task is measured on. */
const measuredOn: Readonly<Record<ModelTask, readonly DatasetForm[]>> = {
  CAUSAL_LM: ["TEXT", "MULTIPLE_CHOICE", "GENERATION"],
  MASKED_LM: ["TEXT"],
  CLASSIFICATION: ["LABELLED"],
  TOKEN_CLASSIFICATION: [],
  EMBEDDING: ["SCORED_PAIRS"],
};

/**
 * Requires of a model that it takes texts that long, and that the dataset says something of such a model.
 *
 * @throws EspalierError BAD_USER_INPUT; WRONG_TASK for what only models can be measured by that write
 */
export function requireMeasurable(model: ModelRecord, form: DatasetForm, settings: EvaluationSettings): void {
  const { architecture } = model;
  const { sequenceLength, against } = settings;
  const task = taskOfModel(model);
  const forms = measuredOn[task];
  requireAll([
    [
      "input.dataset",
      forms.includes(form),
      forms.length > 0
        ? `must be of the form ${forms.join(" or ")} for a model of the task ${task}; it is of the form ${form}`
        : `says nothing of a model of the task ${task}: there is no form of dataset with classes of tokens`,
    ],
  ]);
  if (against) requireTask(task, ["CAUSAL_LM"], "be held against another", "input.against");
  requireAll([lengthRule("input.sequenceLength", sequenceLength, architecture)]);
}

/**
 * The model to hold another against, as it is recorded; null where none was named.
 *
 * @param model the one that is measured, with a tokenizer. While that is being made, the one that it is made from, or null where there is none
 * @param isPending whether it is being made
 * @throws EspalierError MODEL_NOT_FOUND, TOKENIZER_MISSING, AGAINST_DIFFERS, BAD_USER_INPUT
 */
export async function heldAgainst(
  store: Store,
  model: ModelRecord | null,
  isPending: boolean,
  { against, sequenceLength }: EvaluationSettings,
): Promise<AgainstSettings | null> {
  if (!against) return null;
  const argument = "input.against.modelId";
  const isItself = !isPending && against.modelId.toLowerCase() === model?.id;
  requireAll([[argument, !isItself, "must be another model: it is like itself"]]);
  const other = await modelOfSameTokens(store, model, { id: against.modelId, argument, what: "other model", code: "AGAINST_DIFFERS" });
  const { contextLength } = other.architecture;
  requireAll([
    [
      "input.sequenceLength",
      contextLength === null || sequenceLength <= contextLength,
      `must be no more than the context length of the model it is held against, ${contextLength}`,
    ],
  ]);
  return { modelId: other.id, prompts: against.prompts, newTokens: against.newTokens };
}
