import type { Algebra } from "../../algebra/algebra.ts";

/**
 * Steps of FISTA (Beck and Teboulle 2009) towards the least `1/2 (V - T)' H (V - T) + lambda sum |V|`, of columns by themselves.
 *
 * @param h [n, n]
 * @param pulled `H T` [n, m]
 * @param start V [n, m]
 * @param lambda of each column
 * @param largest eigenvalue of H, or more
 * @returns V; and what it was before it was shrunk by `lambda / largest`, which orders weights that have become 0 too
 */
export async function lasso(
  h: Float64Array,
  pulled: Float64Array,
  start: Float64Array,
  lambda: Float64Array,
  largest: number,
  steps: number,
  algebra: Algebra,
): Promise<{ readonly values: Float64Array; readonly unshrunk: Float64Array }> {
  const m = lambda.length;
  const n = start.length / m;
  const unshrunk = new Float64Array(n * m);
  let [values, ahead, t] = [start, start, 1];
  for (let step = 0; step < steps; step++) {
    const product = await algebra.multiply(h, ahead, n, n, m);
    const next = new Float64Array(n * m);
    const further = new Float64Array(n * m);
    const after = (1 + Math.sqrt(1 + 4 * t * t)) / 2;
    const momentum = (t - 1) / after;
    for (let from = 0; from < next.length; from += m)
      for (let c = 0; c < m; c++) {
        const at = from + c;
        const moved = (ahead[at] as number) - ((product[at] as number) - (pulled[at] as number)) / largest;
        const shrink = (lambda[c] as number) / largest;
        const value = moved > shrink ? moved - shrink : moved < -shrink ? moved + shrink : 0;
        unshrunk[at] = moved;
        next[at] = value;
        further[at] = value + momentum * (value - (values[at] as number));
      }
    [values, ahead, t] = [next, further, after];
  }
  return { values, unshrunk };
}

/** The largest eigenvalue of a symmetric H [n, n] of which none is below 0, and a little more: power iteration comes from below. */
export async function largestEigenvalue(h: Float64Array, n: number, algebra: Algebra): Promise<number> {
  let v: Float64Array = Float64Array.from({ length: n }, (_, i) => 1 + (i % 7) / 7);
  let found = 0;
  for (let step = 0; step < 50; step++) {
    const norm = Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
    v = await algebra.multiply(
      h,
      v.map((x) => x / norm),
      n,
      n,
      1,
    );
    found = Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
  }
  return found * 1.05;
}
