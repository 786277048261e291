import { numberAt } from "../number-at.ts";

/** A measured mean and how sure it is. */
export interface Estimate {
  readonly value: number;
  /** Standard error of the value, null where one observation says nothing of it. */
  readonly standardError: number | null;
}

/** The mean of observations, and `s / sqrt(n)` with the sample's standard deviation s (n - 1), as lm-evaluation-harness gives it. */
export const meanOf = (values: readonly number[]): Estimate => ratioOf(values, new Array<number>(values.length).fill(1));

/**
 * A mean over tokens that come in windows: `sum(totals) / sum(counts)`. Tokens of one window are not independent, windows nearly so:
 * the standard error is that of a ratio estimator over windows, `sqrt(W / (W - 1) * sum_w (x_w - mean n_w)^2) / sum(counts)`
 * (Cochran, Sampling Techniques, 6.4).
 *
 * @param totals [W] what each window's tokens add up to
 * @param counts [W] its number of tokens
 */
export function ratioOf(totals: readonly number[], counts: readonly number[]): Estimate {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const [W, N] = [totals.length, sum(counts)];
  const value = sum(totals) / N;
  const squares = sum(totals.map((x, w) => (x - value * numberAt(counts, w)) ** 2));
  return { value, standardError: W > 1 ? Math.sqrt((W / (W - 1)) * squares) / N : null };
}

/** Which of some things are so: a bit each, in order from the lowest bit of each byte, in base64. @param values 1 or 0 */
export function bitsOf(values: readonly number[]): string {
  const bytes = Buffer.alloc(Math.ceil(values.length / 8));
  for (const [i, value] of values.entries()) if (value) bytes[i >> 3] = numberAt(bytes, i >> 3) | (1 << (i & 7));
  return bytes.toString("base64");
}
