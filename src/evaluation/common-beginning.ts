import { told } from "../finished.ts";
import { continueAll, openForAll, type Prompt } from "../inference/continue-all.ts";
import type { DecoderOptions } from "../inference/open-decoder.ts";
import { type Estimate, meanOf } from "./statistics.ts";
import type { Progress } from "./text.ts";

/** How far two models write the same. */
export interface CommonBeginning {
  readonly promptCount: number;
  /** Tokens from the prompt on that both write alike, by greedy choice, on the mean of the prompts. */
  readonly commonBeginningTokens: Estimate;
}

/** Tokens of a prompt that is cut from texts. */
const promptTokens = 32;

/**
 * Prompts from a stream of tokens: as many stretches as are asked for, evenly spread over it. One whose place is short gets fewer tokens.
 *
 * @param count at most
 * @param contextLength of the model, which bounds a prompt and what is written after it together; null if it has none
 */
export function promptsOf(stream: readonly number[], count: number, newTokens: number, contextLength: number | null): Prompt[] {
  const context = contextLength ?? Number.POSITIVE_INFINITY;
  const length = Math.max(1, Math.min(promptTokens, Math.floor(context / 2)));
  const places = Math.min(count, Math.ceil(stream.length / length));
  return Array.from({ length: places }, (_, i) => {
    const start = Math.floor((i * stream.length) / places);
    return { ids: stream.slice(start, start + length), maxTokens: Math.min(newTokens, context - length) };
  });
}

/**
 * Lets two models go on from the same prompts, each by its most probable tokens, and counts for how many tokens they write the same. Signs that end
 * a text are tokens as others are: both go on. One model is loaded after the other. Yields how many prompts are done, of both.
 *
 * @throws EspalierError what openForAll and continueAll throw
 */
export async function* commonBeginning(
  own: DecoderOptions,
  other: DecoderOptions,
  prompts: readonly Prompt[],
): AsyncGenerator<Progress, CommonBeginning> {
  const total = 2 * prompts.length;
  const written: number[][][] = [];
  for (const options of [other, own]) {
    const engine = await openForAll(options);
    try {
      const before = written.length * prompts.length;
      written.push(yield* told(continueAll(engine, prompts), (done) => ({ done: before + done, total })));
    } finally {
      await engine.close();
    }
  }
  const [theirs, mine] = written as [number[][], number[][]];
  return { promptCount: prompts.length, commonBeginningTokens: meanOf(mine.map((tokens, i) => common(tokens, theirs[i] ?? []))) };
}

function common(a: readonly number[], b: readonly number[]): number {
  const apart = a.findIndex((token, i) => token !== b[i]);
  return apart < 0 ? a.length : apart;
}
