import type { Algebra } from "../../algebra/algebra.ts";
import { inverseFactorInPlace } from "../../algebra/inverse-factor.ts";
import { EspalierError } from "../../errors.ts";

/** Inputs between two products with all inputs that follow. */
const together = 32;

/**
 * U with `H^-1 = U' U`, H the statistics of inputs with something added to their diagonal: `damping` of its mean, and ten
 * times that for as long as H has no such factor. An input that is always 0 stands alone in it: it takes no error, and gives none.
 *
 * @param order of inputs, if it is not that in which they lie
 * @throws EspalierError NON_FINITE_STATISTICS
 */
export async function errorFactor(
  gram: Float64Array,
  n: number,
  damping: number,
  algebra: Algebra,
  order: readonly number[] | null = null,
): Promise<Float64Array> {
  let mean = 0;
  for (let i = 0; i < n; i++) mean += (gram[i * n + i] as number) / n;
  if (!Number.isFinite(mean)) throw new EspalierError("NON_FINITE_STATISTICS", "what a product is given has numbers that are not finite");
  for (let share = damping; ; share = Math.max(10 * share, 1e-8)) {
    const h = order ? reordered(gram, n, order) : gram.slice();
    for (let i = 0; i < n; i++) h[i * n + i] = (h[i * n + i] as number) + share * (mean || 1);
    if (await inverseFactorInPlace(h, n, algebra)) return h;
  }
}

function reordered(gram: Float64Array, n: number, order: readonly number[]): Float64Array {
  const h = new Float64Array(n * n);
  for (const [to, from] of order.entries()) for (let j = 0; j < n; j++) h[to * n + j] = gram[from * n + (order[j] as number)] as number;
  return h;
}

/**
 * Goes through inputs in order. Each is given weights other than it has, and what that changes in the outputs is made up for,
 * as well as may be, by the inputs that follow:
 *
 *     e = (w_i - q_i) / U_ii,  w_j -= U_ij e  for j > i
 *
 * (Frantar and others, arXiv 2210.17323 and 2301.00774.) Inputs far ahead are changed some at a time, by one product.
 *
 * @param w weights [n, m], which become q
 * @param decide is given the place and the weights w_i, and makes them q_i. Weights of inputs ahead are as they have become if they come before the next
 *   multiple of 32; if i is such a multiple itself, all are
 */
export async function feedErrors(
  w: Float64Array,
  u: Float64Array,
  n: number,
  m: number,
  algebra: Algebra,
  decide: (input: number, weights: Float64Array) => void,
): Promise<void> {
  for (let from = 0; from < n; from += together) {
    const to = Math.min(from + together, n);
    const errors = new Float64Array((to - from) * m);
    for (let i = from; i < to; i++) {
      const row = w.subarray(i * m, (i + 1) * m);
      const error = errors.subarray((i - from) * m, (i - from + 1) * m);
      error.set(row);
      decide(i, row);
      const diagonal = u[i * n + i] as number;
      for (let c = 0; c < m; c++) error[c] = ((error[c] as number) - (row[c] as number)) / diagonal;
      for (let j = i + 1; j < to; j++) subtract(w, j * m, u[i * n + j] as number, error);
    }
    if (to === n) return;
    const across = new Float64Array((n - to) * (to - from));
    for (let i = from; i < to; i++) for (let j = to; j < n; j++) across[(j - to) * (to - from) + i - from] = u[i * n + j] as number;
    const change = await algebra.multiply(across, errors, n - to, to - from, m);
    for (let at = 0; at < change.length; at++) w[to * m + at] = (w[to * m + at] as number) - (change[at] as number);
  }
}

function subtract(w: Float64Array, at: number, factor: number, error: Float64Array): void {
  if (factor === 0) return;
  for (let c = 0; c < error.length; c++) w[at + c] = (w[at + c] as number) - factor * (error[c] as number);
}
