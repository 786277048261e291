import { addRow } from "../algebra/vectors.ts";
import { solveInPlace } from "./cholesky.ts";

/** How far a solution is drawn to what is there: a share of the mean square of an input. */
const pull = 0.01;

/** Sums over tokens, of X [tokens, n] and E [tokens, m]; in float64, row by row. */
export interface Moments {
  /** `X' X` [n, n] */
  readonly gram: Float64Array;
  /** `X' E` [n, m] */
  readonly cross: Float64Array;
  /** `|| E ||^2` */
  missing: number;
}

export const noMoments = ({ rows, columns }: { readonly rows: number; readonly columns: number }): Moments => ({
  gram: new Float64Array(rows * rows),
  cross: new Float64Array(rows * columns),
  missing: 0,
});

/**
 * What is to be added to weights so that they give what is missing:
 *
 *     D = (G + l I)^-1 X' E,  G = X' X, l = 0.01 x the mean of G's diagonal
 *
 * @returns D [n, m], row by row; null if all inputs are 0
 */
export function correction({ gram, cross }: Pick<Moments, "gram" | "cross">, n: number): Float64Array | null {
  const a = Float64Array.from(gram);
  let lambda = 0;
  for (let i = 0; i < n; i++) lambda += (pull * (gram[i * n + i] as number)) / n;
  for (let i = 0; i < n; i++) a[i * n + i] = (a[i * n + i] as number) + lambda;
  const change = Float64Array.from(cross);
  return lambda > 0 && solveInPlace(a, change, n) ? change : null;
}

/** `|| E - X D ||^2`, of the same texts or others. */
export function missingAfter({ gram, cross, missing }: Moments, change: Float64Array, n: number): number {
  const m = change.length / n;
  const row = new Float64Array(m);
  let sum = missing;
  for (let i = 0; i < n; i++) {
    row.fill(0);
    for (let j = 0; j < n; j++) addRow(row, gram[i * n + j] as number, change, j * m);
    for (let c = 0; c < m; c++) sum += (change[i * m + c] as number) * ((row[c] as number) - 2 * (cross[i * m + c] as number));
  }
  return sum;
}
