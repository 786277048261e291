import { addRow } from "../algebra/vectors.ts";

/**
 * Solves `A X = B` in float64, for a symmetric positive definite A [n, n] and B [n, m], both row by row and both overwritten: B by X.
 * By A = L L' (Cholesky), of which the lower half of A is read and becomes L.
 *
 * @returns whether A is positive definite; B is of no use if it is not
 */
export function solveInPlace(a: Float64Array, b: Float64Array, n: number): boolean {
  const m = b.length / n;
  for (let i = 0; i < n; i++) {
    const row = a.subarray(i * n, i * n + i + 1);
    for (let j = 0; j <= i; j++) {
      const other = a.subarray(j * n, j * n + j + 1);
      let sum = row[j] as number;
      for (let k = 0; k < j; k++) sum -= (row[k] as number) * (other[k] as number);
      if (j < i) row[j] = sum / (other[j] as number);
      else if (sum > 0) row[i] = Math.sqrt(sum);
      else return false;
    }
    const own = b.subarray(i * m, (i + 1) * m);
    for (let j = 0; j < i; j++) addRow(own, -(row[j] as number), b, j * m);
    divide(own, row[i] as number);
  }
  for (let i = n - 1; i >= 0; i--) {
    const own = b.subarray(i * m, (i + 1) * m);
    for (let j = i + 1; j < n; j++) addRow(own, -(a[j * n + i] as number), b, j * m);
    divide(own, a[i * n + i] as number);
  }
  return true;
}

function divide(x: Float64Array, divisor: number): void {
  for (let c = 0; c < x.length; c++) x[c] = (x[c] as number) / divisor;
}
