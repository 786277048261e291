/** `x += factor * y`, y beginning at `from` of a matrix. */
export function addRow(x: Float64Array, factor: number, matrix: Float32Array | Float64Array, from: number): void {
  if (factor === 0) return;
  for (let c = 0; c < x.length; c++) x[c] = (x[c] as number) + factor * (matrix[from + c] as number);
}

/** `sum += values`. */
export function addTo(sum: Float64Array, values: Float32Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + (values[i] as number);
}

/** A' [m, n] of A [n, m], both row by row; in squares that the nearest memory holds. */
export function transposed<A extends Float32Array | Float64Array>(a: A, n: number, m: number): A {
  const out = new (a.constructor as new (length: number) => A)(n * m);
  const side = 32;
  for (let top = 0; top < n; top += side)
    for (let left = 0; left < m; left += side)
      for (let i = top; i < Math.min(top + side, n); i++)
        for (let j = left; j < Math.min(left + side, m); j++) out[j * n + i] = a[i * m + j] as number;
  return out;
}
