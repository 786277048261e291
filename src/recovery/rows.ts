/** `x += factor * y`, y beginning at `from` of a matrix. */
export function addRow(x: Float64Array, factor: number, matrix: Float32Array | Float64Array, from: number): void {
  if (factor === 0) return;
  for (let c = 0; c < x.length; c++) x[c] = (x[c] as number) + factor * (matrix[from + c] as number);
}
