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

export const nonFinite = (): EspalierError => new EspalierError("NON_FINITE_LOGITS", "the model's output is infinite or not a number");

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
  if (!Number.isFinite(max)) throw nonFinite();
  if (temperature === 0) return first;

  // The first weighs 1, and what is not to be drawn 0.
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < logits.length; i++) weights[i] = Math.exp(((logits[i] as number) - max) / temperature);
  if (topK > 0) keepMostProbable(weights, topK, 1);
  if (topP < 1) keepMostProbable(weights, weights.length, topP);
  if (minP > 0) for (let i = 0; i < weights.length; i++) if ((weights[i] as number) < minP) weights[i] = 0;
  return draw(weights, random());
}

function draw(weights: Float64Array, chance: number): number {
  let left = chance * sum(weights);
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i] as number;
    if (weight === 0) continue;
    last = i;
    left -= weight;
    if (left < 0) break;
  }
  return last;
}

function sum(values: Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i] as number;
  return total;
}

/**
 * Keeps the largest weights, until they are so many or have that share of the whole together, and sets all others to 0. Of a
 * vocabulary few are kept, so they are taken one by one from the top of a heap (Williams 1964, built as by Floyd 1964) and nothing is sorted.
 */
function keepMostProbable(weights: Float64Array, most: number, share: number): void {
  const whole = sum(weights);
  // All that are smaller have less than the rest of the whole together; or there are as many others, one in each part, that are larger.
  const least = Math.max(((1 - share) * whole) / weights.length, leastOfLargest(weights, most));
  const heap = new Uint32Array(weights.length);
  let size = 0;
  for (let i = 0; i < weights.length; i++) if ((weights[i] as number) > 0 && (weights[i] as number) >= least) heap[size++] = i;
  const before = (a: number, b: number): boolean => {
    const apart = (weights[a] as number) - (weights[b] as number);
    return apart > 0 || (apart === 0 && a < b);
  };
  const sink = (place: number): void => {
    const id = heap[place] as number;
    for (let child = 2 * place + 1; child < size; child = 2 * place + 1) {
      if (child + 1 < size && before(heap[child + 1] as number, heap[child] as number)) child++;
      if (!before(heap[child] as number, id)) break;
      heap[place] = heap[child] as number;
      place = child;
    }
    heap[place] = id;
  };
  for (let place = (size >> 1) - 1; place >= 0; place--) sink(place);

  const kept: (readonly [id: number, weight: number])[] = [];
  for (let reached = 0; size > 0 && kept.length < most && (share === 1 || reached < share * whole); ) {
    const id = heap[0] as number;
    const weight = weights[id] as number;
    kept.push([id, weight]);
    reached += weight;
    heap[0] = heap[--size] as number;
    sink(0);
  }
  weights.fill(0);
  for (const [id, weight] of kept) weights[id] = weight;
}

/** The smallest of the largest weights of so many parts; 0 if there are not so many weights. */
function leastOfLargest(weights: Float64Array, parts: number): number {
  const size = Math.floor(weights.length / parts);
  let least = size > 0 ? Number.POSITIVE_INFINITY : 0;
  for (let part = 0; size > 0 && part < parts; part++) {
    let largest = 0;
    for (let i = part * size; i < (part + 1) * size; i++) largest = Math.max(largest, weights[i] as number);
    least = Math.min(least, largest);
  }
  return least;
}
