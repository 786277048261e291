import type { StoredModel } from "../compute/tasks.ts";
import type { ModelTask } from "../model-task.ts";
import { requireTask } from "../rules/task-rules.ts";
import { tokenizedModel } from "../rules/tokenized-model.ts";
import type { Requirement } from "../rules/validate.ts";
import { taskOfModel } from "../store/models.ts";
import type { Context } from "./context.ts";
import type { GenerateInput } from "./types/generation.ts";

/** Characters. */
export const longestPrompt = 100_000;
const mostTokens = 4096;
const longestTimeMs = 600_000;

/** A registered model as the process that serves it needs it. @throws EspalierError MODEL_NOT_FOUND, TOKENIZER_MISSING */
export async function servingModel({ store, dataDirectory }: Context, argument: string, modelId: string): Promise<StoredModel> {
  const { model, files } = await tokenizedModel(store, argument, modelId);
  return { dataDirectory, digest: model.digest, files, vocabularySize: model.architecture.vocabularySize, task: taskOfModel(model) };
}

/**
 * The same, of a model whose task is one of these.
 *
 * @param what is asked of it, as people say it
 * @throws EspalierError also WRONG_TASK
 */
export async function servingModelFor(context: Context, modelId: string, what: string, tasks: readonly ModelTask[]): Promise<StoredModel> {
  const model = await servingModel(context, "input.modelId", modelId);
  requireTask(model.task, tasks, what, "input.modelId");
  return model;
}

const within = (value: number, least: number, most: number): boolean => value >= least && value <= most;

/** What must hold of whatever asks for a text. */
export function writingRules(input: Omit<GenerateInput, "modelId" | "echo" | "n">): Requirement[] {
  const { prompt, maxTokens, temperature, topK, topP, minP, repetitionPenalty, frequencyPenalty, presencePenalty } = input;
  const { logitBias, stop, timeLimitMs, answerBegins } = input;
  const { text, messages } = prompt;
  const spoken = (messages ?? []).reduce((n, { content, role }) => n + content.length + role.length, answerBegins?.length ?? 0);
  return [
    [
      messages ? "input.prompt.messages" : "input.prompt.text",
      (text?.length ?? 0) + spoken <= longestPrompt,
      `must have at most ${longestPrompt} characters`,
    ],
    ["input.prompt.messages", messages == null || within(messages.length, 1, 1000), "must be 1 to 1000 messages"],
    ["input.answerBegins", answerBegins == null || messages != null, "is of an answer to input.prompt.messages, which must be given"],
    ["input.maxTokens", within(maxTokens, 1, mostTokens), `must be from 1 to ${mostTokens}`],
    ["input.temperature", within(temperature, 0, 10), "must be from 0 to 10"],
    ["input.topK", topK >= 0, "must not be negative"],
    ["input.topP", topP > 0 && topP <= 1, "must be above 0 and no more than 1"],
    ["input.minP", within(minP, 0, 1), "must be from 0 to 1"],
    ["input.repetitionPenalty", repetitionPenalty >= 0.01 && repetitionPenalty <= 10, "must be from 0.01 to 10"],
    ["input.frequencyPenalty", within(frequencyPenalty, -2, 2), "must be from -2 to 2"],
    ["input.presencePenalty", within(presencePenalty, -2, 2), "must be from -2 to 2"],
    ["input.logitBias", logitBias.length <= 300, "must be of at most 300 tokens"],
    ["input.logitBias", logitBias.every(({ bias }) => within(bias, -100, 100)), "must be from -100 to 100"],
    [
      "input.stop",
      stop.length <= 16 && stop.every((text) => within(text.length, 1, 200)),
      "must be at most 16 strings of 1 to 200 characters",
    ],
    ["input.timeLimitMs", within(timeLimitMs, 1, longestTimeMs), `must be from 1 to ${longestTimeMs}`],
  ];
}
