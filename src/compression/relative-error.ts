import type { Algebra } from "../algebra/algebra.ts";

/** Columns that are multiplied at once: what a product of float64 takes is bounded by them. */
const columnsAtOnce = 4096;

/**
 * How much of what a product gives is lost: `|| X (W - W') ||^2 / || X W ||^2 = trace(D' G D) / trace(W' G W)`, with D = W - W'. Null where the product gives nothing.
 *
 * @param gram G = X' X [n, n]
 * @param weights W, and
 * @param compressed W', both [n, m], row by row
 */
export async function relativeError(
  algebra: Algebra,
  gram: Float64Array,
  n: number,
  weights: Float32Array,
  compressed: Float32Array,
): Promise<number | null> {
  const m = weights.length / n;
  let lost = 0;
  let whole = 0;
  for (let from = 0; from < m; from += columnsAtOnce) {
    const columns = Math.min(columnsAtOnce, m - from);
    const part = (value: (at: number) => number) => {
      const values = new Float64Array(n * columns);
      for (let i = 0; i < n; i++) for (let j = 0; j < columns; j++) values[i * columns + j] = value(i * m + from + j);
      return values;
    };
    const w = part((at) => weights[at] as number);
    const d = part((at) => (weights[at] as number) - (compressed[at] as number));
    whole += dot(w, await algebra.multiply(gram, w, n, n, columns));
    lost += dot(d, await algebra.multiply(gram, d, n, n, columns));
  }
  return whole > 0 ? Math.max(0, lost) / whole : null;
}

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[i] as number);
  return sum;
}
