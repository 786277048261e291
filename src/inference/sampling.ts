import { EspalierError } from "../errors.ts";
import type { Random } from "../random.ts";

export interface SamplingOptions {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Only the k most probable tokens; 0 is all. */
  readonly topK: number;
  /** Only the fewest most probable tokens that together reach this probability; 1 is all. */
  readonly topP: number;
  /** Only tokens at least this many times as probable as the most probable one; 0, or none given, is all. */
  readonly minP?: number;
}

/** The place of the largest value, the first of equals; -1 if one is not a number. One loop over all: a callback takes as long as all the rest. */
function argmax(values: Float32Array): number {
  let best = 0;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value > max) {
      max = value;
      best = i;
    } else if (Number.isNaN(value)) return -1;
  }
  return best;
}

/**
 * Draws the next token: temperature first, then the k most probable, then the nucleus of what is left, then what is probable
 * enough beside the first. Equally probable tokens rank by their ids.
 *
 * @param logits [V]
 * @throws EspalierError NON_FINITE_LOGITS if the model's output is no distribution
 */
export function sample(logits: Float32Array, { temperature, topK, topP, minP = 0 }: SamplingOptions, random: Random): number {
  const first = argmax(logits);
  const max = logits[first] ?? Number.NaN;
  if (!Number.isFinite(max)) throw new EspalierError("NON_FINITE_LOGITS", "the model's output is infinite or not a number");
  if (temperature === 0) return first;

  const weights = new Float64Array(logits.length);
  for (let i = 0; i < logits.length; i++) weights[i] = Math.exp(((logits[i] as number) - max) / temperature);
  const least = topK > 0 ? kthLargest(weights, topK) : leastOfInterest(weights, topP);
  const ranked: number[] = [];
  for (let i = 0; i < weights.length; i++) if ((weights[i] as number) >= least) ranked.push(i);
  ranked.sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
  const best = topK > 0 ? ranked.slice(0, topK) : ranked;
  const nucleus = topP < 1 ? best.slice(0, placeOf(topP, best, weights) + 1) : best;
  // The first weighs 1.
  const drawn = minP > 0 ? nucleus.filter((i) => (weights[i] as number) >= minP) : nucleus;
  return drawn[placeOf(random(), drawn, weights)] as number;
}

const sum = (values: Iterable<number>): number => {
  let total = 0;
  for (const value of values) total += value;
  return total;
};

const kthLargest = (weights: Float64Array, k: number): number => weights.toSorted()[Math.max(0, weights.length - k)] as number;

/**
 * All weights below this one together miss less than 1 - topP of the total, so none is in the nucleus; or less than the
 * 2^-32 in which chance comes, so none is ever drawn. They need no sorting.
 */
const leastOfInterest = (weights: Float64Array, topP: number): number => (Math.max(1 - topP, 2 ** -32) * sum(weights)) / weights.length;

/** The first place at which the weights so far reach a share of their total. */
function placeOf(share: number, ids: readonly number[], weights: Float64Array): number {
  let left = share * sum(ids.map((i) => weights[i] as number));
  for (const [place, id] of ids.entries()) {
    left -= weights[id] as number;
    if (left <= 0) return place;
  }
  return ids.length - 1;
}
