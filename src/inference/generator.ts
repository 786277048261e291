import { setImmediate } from "node:timers/promises";
import { EspalierError } from "../errors.ts";
import { seededRandom } from "../random.ts";
import { LanguageModel, type LanguageModelOptions } from "./language-model.ts";
import { type SamplingOptions, sample } from "./sampling.ts";

export interface GenerationOptions extends SamplingOptions {
  readonly maxTokens: number;
  readonly seed: number;
  /** Tokens that end the text; they are not part of it. */
  readonly stopIds: readonly number[];
  readonly signal?: AbortSignal;
}

/** STOP: the model ended its text. LENGTH: the limit asked for, or the model's context, is used up. */
export type FinishReason = "STOP" | "LENGTH";

/**
 * Tokens of the prompt read in one run. Logits come for each of them, so whole prompts would take much memory; and
 * between runs a caller can change its mind.
 */
const tokensPerRun = 256;

/** Continues sequences of tokens. */
export class Generator {
  constructor(readonly model: LanguageModel) {}

  /**
   * Yields one token after another. Runs hold the thread, so between any two the event loop has its turn: messages
   * that cancel are seen.
   *
   * @throws EspalierError PROMPT_EMPTY, PROMPT_TOO_LONG; the signal's reason once it is aborted
   */
  async *generate(promptIds: readonly number[], options: GenerationOptions): AsyncGenerator<number, FinishReason> {
    const { model } = this;
    const limit = Math.min(options.maxTokens, roomAfter(promptIds.length, model.contextLength));
    const random = seededRandom(options.seed, "sampling");
    const stopIds = new Set(options.stopIds);

    let past = model.start;
    let logits: Float32Array = new Float32Array();
    const stride = model.hasCache ? tokensPerRun : promptIds.length;
    for (let at = 0; at < promptIds.length; at += stride) {
      await turn(options.signal);
      ({ past, logits } = await model.read(past, promptIds.slice(at, at + stride)));
    }
    for (let count = 1; count <= limit; count++) {
      const id = sample(logits, options, random);
      if (stopIds.has(id)) return "STOP";
      yield id;
      if (count === limit) break;
      await turn(options.signal);
      ({ past, logits } = await model.read(past, [id]));
    }
    return "LENGTH";
  }

  close(): Promise<void> {
    return this.model.close();
  }
}

export const loadGenerator = async (options: LanguageModelOptions): Promise<Generator> => new Generator(await LanguageModel.open(options));

/** How many tokens may follow the prompt. */
function roomAfter(promptTokens: number, contextLength: number | null): number {
  if (promptTokens === 0)
    throw new EspalierError("PROMPT_EMPTY", "the prompt has no tokens, and this model has none that begins a text by itself");
  if (contextLength !== null && promptTokens >= contextLength)
    throw new EspalierError(
      "PROMPT_TOO_LONG",
      `the prompt has ${promptTokens} tokens; the model's context of ${contextLength} leaves no room for an answer`,
      {
        promptTokens,
        contextLength,
      },
    );
  return contextLength === null ? Number.POSITIVE_INFINITY : contextLength - promptTokens;
}

async function turn(signal: AbortSignal | undefined): Promise<void> {
  await setImmediate();
  signal?.throwIfAborted();
}
