import { type Random, seededRandom } from "../random.ts";
import { nonFinite, type SamplingOptions, sample } from "./sampling.ts";

export interface SamplerOptions extends SamplingOptions {
  readonly seed: number;
  /** Logits of tokens already in the text, the prompt's too, are divided by this if positive, else multiplied (CTRL, arXiv 1909.05858); 1 is none. */
  readonly repetitionPenalty?: number;
  /** Taken off a logit for each time the token has been written (OpenAI's definition: the prompt does not count). */
  readonly frequencyPenalty?: number;
  /** Taken off a logit once the token has been written. */
  readonly presencePenalty?: number;
  /** Added to logits. */
  readonly logitBias?: readonly { readonly tokenId: number; readonly bias: number }[];
}

/** Draws one text's tokens, one after another. What it draws depends on its own options, prompt, seed and logits alone. */
export class Sampler {
  readonly #random: Random;
  readonly #seen: Set<number>;
  readonly #counts = new Map<number, number>();
  readonly #plain: boolean;
  #adjustedLogits = new Float32Array();

  constructor(
    private readonly options: SamplerOptions,
    promptIds: readonly number[],
  ) {
    this.#random = seededRandom(options.seed, "sampling");
    this.#seen = new Set(promptIds);
    const { repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0, logitBias = [] } = options;
    this.#plain = repetitionPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0 && logitBias.length === 0;
  }

  /**
   * @param logits [V], left as they are
   * @throws EspalierError NON_FINITE_LOGITS
   */
  next(logits: Float32Array): number {
    const id = sample(this.#plain ? logits : this.#adjusted(logits), this.options, this.#random);
    this.#seen.add(id);
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    return id;
  }

  #adjusted(logits: Float32Array): Float32Array {
    const { repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0, logitBias = [] } = this.options;
    if (this.#adjustedLogits.length !== logits.length) this.#adjustedLogits = new Float32Array(logits.length);
    const adjusted = this.#adjustedLogits;
    adjusted.set(logits);
    if (repetitionPenalty !== 1)
      for (const id of this.#seen) {
        const l = adjusted[id] as number;
        adjusted[id] = l > 0 ? l / repetitionPenalty : l * repetitionPenalty;
      }
    for (const [id, count] of this.#counts) adjusted[id] = (adjusted[id] as number) - count * frequencyPenalty - presencePenalty;
    for (const { tokenId, bias } of logitBias) adjusted[tokenId] = (adjusted[tokenId] as number) + bias;
    return adjusted;
  }
}

export interface TokenProbability {
  readonly tokenId: number;
  /** Natural logarithm of the model's own probability: before temperature, penalties and bias. */
  readonly logprob: number;
}

/**
 * Log probability of one token, -Infinity where its probability is 0, and of the most probable ones, most probable first.
 *
 * @throws EspalierError NON_FINITE_LOGITS
 */
export function logProbabilities(
  logits: Float32Array,
  id: number,
  top: number,
): TokenProbability & { readonly top: readonly TokenProbability[] } {
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < logits.length; i++) if ((logits[i] as number) > max) max = logits[i] as number;
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] as number) - max);
  const norm = max + Math.log(sum);
  if (!Number.isFinite(norm)) throw nonFinite();
  const best: number[] = [];
  if (top > 0)
    for (let i = 0; i < logits.length; i++) {
      const l = logits[i] as number;
      if (best.length === top && l <= (logits[best.at(-1) as number] as number)) continue;
      let at = best.length;
      while (at > 0 && (logits[best[at - 1] as number] as number) < l) at--;
      best.splice(at, 0, i);
      if (best.length > top) best.pop();
    }
  const of = (tokenId: number): TokenProbability => ({ tokenId, logprob: (logits[tokenId] as number) - norm });
  return { ...of(id), top: best.map(of) };
}
