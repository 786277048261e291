import { addRow } from "../algebra/vectors.ts";
import { correction } from "./correction.ts";
import type { Gram } from "./grams.ts";

/** How much of what a product gave is not given any more, over what it gave: squares, summed over texts that were held back. */
export interface Refit {
  /** Without the channels alone. */
  readonly cut: number;
  /** With the rows that are kept. */
  readonly left: number;
  /** Rows [kept, m] in place of those that stayed; null where what was solved does worse than the cut on texts that were held back. */
  readonly rows: Float64Array | null;
}

/**
 * The weights of the inputs that stay, S, by which they give best what all inputs gave:
 *
 *     W_S' = (G_SS + l I)^-1 (G_S: W + l W_S),  G = X' X, l = 0.01 x the mean of G's diagonal over S
 *
 * (the least squares of X W against X_S W_S', drawn towards the weights as they were).
 *
 * @param weights W [n, m], row by row
 * @param kept the rows that stay, in order
 */
export function refit(weights: Float32Array, n: number, kept: readonly number[], { own, heldBack }: Gram): Refit {
  const m = weights.length / n;
  const s = kept.length;
  const isKept = new Set(kept);
  const gram = new Float64Array(s * s);
  const cross = new Float64Array(s * m);
  for (const [k, i] of kept.entries()) {
    for (const [l, j] of kept.entries()) gram[k * s + l] = own[i * n + j] as number;
    const right = cross.subarray(k * m, (k + 1) * m);
    for (let j = 0; j < n; j++) if (!isKept.has(j)) addRow(right, own[i * n + j] as number, weights, j * m);
  }
  const rows = correction({ gram, cross }, s);
  if (rows) for (const [k, i] of kept.entries()) addRow(rows.subarray(k * m, (k + 1) * m), 1, weights, i * m);
  const lost = Float64Array.from(weights);
  const whole = squares(lost, heldBack, n);
  for (const i of kept) lost.fill(0, i * m, (i + 1) * m);
  const cut = squares(lost, heldBack, n);
  for (const [k, i] of kept.entries())
    for (let c = 0; c < m; c++) lost[i * m + c] = (weights[i * m + c] as number) - (rows?.[k * m + c] ?? 0);
  const left = rows ? squares(lost, heldBack, n) : cut;
  const share = (value: number): number => (whole > 0 ? value / whole : 0);
  return left < cut ? { cut: share(cut), left: share(left), rows } : { cut: share(cut), left: share(cut), rows: null };
}

/** `|| X D ||^2 = trace(D' G D)`. */
function squares(d: Float64Array, gram: Float64Array, n: number): number {
  const m = d.length / n;
  const rowOf = (i: number) => d.subarray(i * m, (i + 1) * m);
  // What is cut leaves most rows zero.
  const filled = Array.from({ length: n }, (_, i) => i).filter((i) => rowOf(i).some((value) => value !== 0));
  const row = new Float64Array(m);
  let sum = 0;
  for (const i of filled) {
    const own = rowOf(i);
    row.fill(0);
    for (const j of filled) addRow(row, gram[i * n + j] as number, d, j * m);
    for (let c = 0; c < m; c++) sum += (own[c] as number) * (row[c] as number);
  }
  return sum;
}
