import type { Algebra } from "../../algebra/algebra.ts";

/** Weights V [n, m] that stand for T, columns by themselves: each loses `(V - T)' H (V - T)`. */
export interface Fit {
  readonly values: Float64Array;
  /** 1 where a weight may be other than 0. */
  readonly mask: Float64Array;
  /** `H (T - V)`. Where V is the best of its mask, this is 0 wherever the mask is 1. */
  readonly pull: Float64Array;
  /** Of each column. */
  readonly losses: Float64Array;
  /** Products with H that it took. */
  readonly steps: number;
}

/**
 * Least squares on a mask, by conjugate gradients of all columns at once (Hestenes and Stiefel 1952). It begins at a V, and no step makes a column lose more.
 *
 * @param h [n, n], whose diagonal should be about 1: then no other preconditioner is wanted
 * @param steps at most
 * @param enough it ends when no column has a pull with a sum of squares on its mask above this
 */
export async function refit(
  h: Float64Array,
  target: Float64Array,
  start: Float64Array,
  mask: Float64Array,
  algebra: Algebra,
  steps: number,
  enough: Float64Array | null = null,
): Promise<Fit> {
  const n = Math.sqrt(h.length);
  const m = target.length / n;
  const values = times(start, mask);
  const pull = await algebra.multiply(h, difference(target, values), n, n, m);
  let residual = times(pull, mask);
  let size = dots(residual, residual, m);
  let direction = residual;
  let step = 0;
  for (; step < steps && size.some((x, c) => x > (enough?.[c] ?? 0)); step++) {
    const moved = await algebra.multiply(h, direction, n, n, m);
    const far = ratios(size, dots(direction, moved, m));
    addScaled(values, far, direction, 1);
    addScaled(pull, far, moved, -1);
    residual = times(pull, mask);
    const next = dots(residual, residual, m);
    const turned = residual.slice();
    addScaled(turned, ratios(next, size), direction, 1);
    direction = turned;
    size = next;
  }
  return { values, mask, pull, losses: dots(difference(target, values), pull, m), steps: step + 1 };
}

/** `x += sign factor_c y`, column by column. */
function addScaled(x: Float64Array, factors: Float64Array, y: Float64Array, sign: 1 | -1): void {
  const m = factors.length;
  for (let from = 0; from < x.length; from += m)
    for (let c = 0; c < m; c++) x[from + c] = (x[from + c] as number) + sign * (factors[c] as number) * (y[from + c] as number);
}

/** `sum of x y`, column by column. */
export function dots(x: Float64Array, y: Float64Array, m: number): Float64Array {
  const sums = new Float64Array(m);
  for (let from = 0; from < x.length; from += m)
    for (let c = 0; c < m; c++) sums[c] = (sums[c] as number) + (x[from + c] as number) * (y[from + c] as number);
  return sums;
}

/** Element by element. */
export function times(x: Float64Array, y: Float64Array): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < out.length; at++) out[at] = (x[at] as number) * (y[at] as number);
  return out;
}

function difference(x: Float64Array, y: Float64Array): Float64Array {
  const out = new Float64Array(x.length);
  for (let at = 0; at < out.length; at++) out[at] = (x[at] as number) - (y[at] as number);
  return out;
}

/** 0 where there is nothing to divide by: a column that is done moves no more. */
const ratios = (a: Float64Array, b: Float64Array): Float64Array => a.map((x, c) => ((b[c] as number) > 0 ? x / (b[c] as number) : 0));
