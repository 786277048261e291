/** Products of matrices in float64, row by row. What is large is left to whoever computes fastest. */
export interface Algebra {
  /** `A B` [n, m] of A [n, k] and B [k, m]. */
  multiply(a: Float64Array, b: Float64Array, n: number, k: number, m: number): Promise<Float64Array>;
}
