import { type BlockCode, type Choice, choosing } from "./blocks.ts";
import { halfOf, halves } from "./half.ts";

/**
 * A scale by which a block's numbers are codes from `low` to `high`, if there is one: the greatest number of which all are multiples, or a part of it, that
 * float16 holds.
 */
const evenly =
  (low: number, high: number): Choice =>
  (values, from) => {
    const [least, most] = extremes(values, from);
    const unit = greatestDivisor(values, from, 0);
    for (let part = 1; unit > 0; part++) {
      const size = unit / part;
      const fitting = [size, -size].filter((scale) => {
        const [a, b] = [least / scale, most / scale];
        return Math.min(a, b) >= low && Math.max(a, b) <= high;
      });
      if (fitting.length === 0) break;
      if (isHalf(size)) return [fitting[0] as number, 0];
    }
    return [0, 0];
  };

/** The same of codes that are counted from the least number. */
const fromLeast =
  (levels: number): Choice =>
  (values, from) => {
    const [least, most] = extremes(values, from);
    const unit = greatestDivisor(values, from, least);
    if (isHalf(least))
      for (let part = 1; unit > 0 && ((most - least) * part) / unit < levels; part++) if (isHalf(unit / part)) return [unit / part, least];
    return [0, least];
  };

/** Blocks whose numbers come back as they were, where their form has such. Where it has none, others come back: who writes them looks. */
export const exactBlocks = {
  Q4_0: choosing.Q4_0(evenly(-8, 7)),
  Q4_1: choosing.Q4_1(fromLeast(16)),
  Q8_0: choosing.Q8_0(evenly(-128, 127)),
} as const satisfies Readonly<Record<string, BlockCode>>;

const isHalf = (value: number): boolean => halves()[halfOf(value)] === value;

function extremes(values: Float32Array, from: number): readonly [least: number, most: number] {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = from; i < from + 32; i++) {
    least = Math.min(least, values[i] as number);
    most = Math.max(most, values[i] as number);
  }
  return [least, most];
}

/** The greatest number of which all of a block, less `least`, are multiples; 0 where all are `least`. By Euclid: remainders of floats are exact. */
function greatestDivisor(values: Float32Array, from: number, least: number): number {
  let found = 0;
  for (let i = from; i < from + 32; i++) {
    let rest = Math.abs((values[i] as number) - least);
    while (rest > 0) {
      const next = found % rest;
      found = rest;
      rest = next;
    }
  }
  return found;
}
