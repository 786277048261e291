import { StreamDecoder } from "../text/stream-decoder.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { FinishReason, GenerationOptions, Generator } from "./generator.ts";

export interface TextOptions extends Omit<GenerationOptions, "stopIds"> {
  readonly prompt: string;
}

/** Whole Unicode text; a token that ends inside a character is held back until the rest comes. */
export interface TextChunk {
  readonly text: string;
  readonly tokenIds: readonly number[];
}

export interface TextSummary {
  readonly finishReason: FinishReason;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly timeToFirstTokenMs: number;
  /** Completion tokens over all the time taken, reading the prompt included. */
  readonly tokensPerSecond: number;
}

/**
 * Continues a text. The prompt begins as the model's documents do, and the answer ends where the model ends a document.
 *
 * @throws EspalierError PROMPT_EMPTY, PROMPT_TOO_LONG; the signal's reason once it is aborted
 */
export async function* generate(
  generator: Generator,
  tokenizer: Tokenizer,
  { prompt, ...options }: TextOptions,
): AsyncGenerator<TextChunk, TextSummary> {
  const begun = performance.now();
  const promptIds = tokenizer.encodeDocument(prompt);
  const decoder = new StreamDecoder(tokenizer, promptIds);
  const tokens = generator.generate(promptIds, { ...options, stopIds: tokenizer.eosIds });

  let completionTokens = 0;
  let timeToFirstTokenMs = 0;
  let pending: number[] = [];
  let step = await tokens.next();
  for (; !step.done; step = await tokens.next()) {
    if (completionTokens++ === 0) timeToFirstTokenMs = performance.now() - begun;
    pending.push(step.value);
    const text = decoder.push(step.value);
    if (text === "") continue;
    yield { text, tokenIds: pending };
    pending = [];
  }
  if (pending.length > 0) yield { text: decoder.flush(), tokenIds: pending };
  const seconds = (performance.now() - begun) / 1000;
  return {
    finishReason: step.value,
    promptTokens: promptIds.length,
    completionTokens,
    timeToFirstTokenMs,
    tokensPerSecond: completionTokens / seconds,
  };
}
