import { EspalierError } from "../errors.ts";
import { told } from "../finished.ts";
import { continueAll, type Prompt } from "../inference/continue-all.ts";
import type { Engine } from "../inference/engine.ts";
import { smallest } from "../large-lists.ts";
import { type AnswerPattern, answerFinder } from "../text/answer-pattern.ts";
import type { GenerationItem } from "../text/dataset-content.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { bitsOf, type Estimate, meanOf } from "./statistics.ts";
import type { Progress } from "./text.ts";

/** How answers that a model writes are measured. */
export interface GenerationOptions {
  /** Tokens that are written at most. */
  readonly maxNewTokens: number;
  /** Texts at which an answer ends; they are no part of it. */
  readonly stop: readonly string[];
  /** Null: all that is written is the answer. */
  readonly answer: AnswerPattern | null;
}

export interface GenerationResult {
  readonly itemCount: number;
  /** Share of items whose answer is the right one, character by character, white space around it left out. */
  readonly exactMatch: Estimate;
  /** Which items were right: a bit each, in base64. */
  readonly correctItems: string;
  /** Guessing a text gets nothing. */
  readonly chanceAccuracy: 0;
  /** What the model wrote. */
  readonly texts: readonly string[];
}

/**
 * Prompts as a model reads them: they begin as those of `generate` do.
 *
 * @throws EspalierError INVALID_DATASET naming an item whose prompt leaves no room in the context, or that has no token
 */
export function promptsOfItems(
  items: readonly GenerationItem[],
  tokenizer: Tokenizer,
  maxNewTokens: number,
  contextLength: number | null,
): Prompt[] {
  const context = contextLength ?? Number.POSITIVE_INFINITY;
  return items.map(({ prompt }, item) => {
    const ids = tokenizer.encodeDocument(prompt);
    const why = ids.length === 0 ? "has no token" : ids.length >= context ? `leaves no room in the model's context of ${context}` : null;
    if (why !== null) throw new EspalierError("INVALID_DATASET", `the prompt of item ${item} ${why}`, { item });
    return { ids, maxTokens: Math.min(maxNewTokens, context - ids.length) };
  });
}

/**
 * Lets a model write an answer to each item, always its most probable token, until it ends its text, a stop, or the limit. Yields how many are answered.
 *
 * @throws EspalierError INVALID_DATASET, INVALID_PATTERN; what continueAll throws
 */
export async function* judgeGeneration(
  engine: Engine,
  tokenizer: Tokenizer,
  items: readonly GenerationItem[],
  prompts: readonly Prompt[],
  { stop, answer }: GenerationOptions,
): AsyncGenerator<Progress, GenerationResult> {
  const find = answer ? answerFinder(answer) : (text: string): string => text.trim();
  const isEnd = (id: number | undefined): boolean => id !== undefined && tokenizer.eosIds.includes(id);
  const stopped = (tokens: readonly number[]): boolean => {
    if (stop.length === 0) return false;
    const text = tokenizer.decode(tokens);
    return stop.some((s) => text.includes(s));
  };
  const steps = continueAll(engine, prompts, { ends: (_, tokens) => isEnd(tokens.at(-1)) || stopped(tokens) });
  const written = yield* told(steps, (done) => ({ done, total: items.length }));
  const texts = written.map((tokens) => {
    const text = tokenizer.decode(isEnd(tokens.at(-1)) ? tokens.slice(0, -1) : tokens);
    return text.slice(0, smallest([...stop.map((s) => text.indexOf(s)).filter((at) => at >= 0), text.length]));
  });
  const right = texts.map((text, i) => (find(text) === items[i]?.answer.trim() ? 1 : 0));
  return { itemCount: items.length, exactMatch: meanOf(right), correctItems: bitsOf(right), chanceAccuracy: 0, texts };
}
