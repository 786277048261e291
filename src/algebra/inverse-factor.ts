import type { Algebra } from "./algebra.ts";
import { transposed } from "./vectors.ts";

/** Matrices so small are factored here: to hand them over takes longer. */
const small = 96;

/**
 * The upper triangular U with `H^-1 = U' U`, of a symmetric positive definite H; by which GPTQ and SparseGPT know what an
 * error in one input costs the inputs after it. H^-1 itself is never formed: `H = V V'` with V upper triangular, and U = V^-1.
 * Halves of H are factored one after the other, so that all but small blocks are products of matrices:
 *
 *     V12 = H12 U22',  H11 - V12 V12' = V11 V11',  U12 = -U11 V12 U22
 *
 * @param h [n, n], of which the upper half is read; it becomes U, with 0 below the diagonal
 * @returns whether H is positive definite; it is of no use if it is not
 */
export const inverseFactorInPlace = (h: Float64Array, n: number, algebra: Algebra): Promise<boolean> => factor(h, n, 0, n, algebra);

/** Of the square block from `from` to `to`. */
async function factor(h: Float64Array, stride: number, from: number, to: number, algebra: Algebra): Promise<boolean> {
  if (to - from <= small) return factorSmall(h, stride, from, to);
  const middle = Math.ceil((from + to) / 2);
  const [n1, n2] = [middle - from, to - middle];
  if (!(await factor(h, stride, middle, to, algebra))) return false;
  const u22 = block(h, stride, middle, to, middle, to);
  const v12 = await algebra.multiply(block(h, stride, from, middle, middle, to), transposed(u22, n2, n2), n1, n2, n2);
  const turned = transposed(v12, n1, n2);
  // Of V12 V12' the upper half is wanted: by rows, each from its own diagonal on.
  for (let top = 0; top < n1; top += strip) {
    const bottom = Math.min(top + strip, n1);
    const right = top === 0 ? turned : block(turned, n1, 0, n2, top, n1);
    const product = await algebra.multiply(v12.subarray(top * n2, bottom * n2), right, bottom - top, n2, n1 - top);
    for (let i = top; i < bottom; i++) {
      const at = (from + i) * stride + from;
      for (let j = i; j < n1; j++) h[at + j] = (h[at + j] as number) - (product[(i - top) * (n1 - top) + j - top] as number);
    }
  }
  if (!(await factor(h, stride, from, middle, algebra))) return false;
  const u12 = await algebra.multiply(
    await algebra.multiply(block(h, stride, from, middle, from, middle), v12, n1, n1, n2),
    u22,
    n1,
    n2,
    n2,
  );
  for (let i = 0; i < n1; i++) {
    const at = (from + i) * stride + middle;
    for (let j = 0; j < n2; j++) h[at + j] = -(u12[i * n2 + j] as number);
  }
  for (let i = middle; i < to; i++) h.fill(0, i * stride + from, i * stride + middle);
  return true;
}

/** Rows of a product of which half is wanted. */
const strip = 1024;

function factorSmall(h: Float64Array, stride: number, from: number, to: number): boolean {
  for (let i = to - 1; i >= from; i--) {
    const row = i * stride;
    for (let j = to - 1; j >= i; j--) {
      const other = j * stride;
      let sum = h[row + j] as number;
      for (let k = j + 1; k < to; k++) sum -= (h[row + k] as number) * (h[other + k] as number);
      if (j > i) h[row + j] = sum / (h[other + j] as number);
      else if (sum > 0) h[row + i] = Math.sqrt(sum);
      else return false;
    }
  }
  // V becomes V^-1 from its last row up: each takes the rows below it, which are done.
  const own = new Float64Array(to - from);
  for (let i = to - 1; i >= from; i--) {
    const row = i * stride;
    own.fill(0);
    for (let k = i + 1; k < to; k++) {
      const v = h[row + k] as number;
      for (let j = k; j < to; j++) own[j - from] = (own[j - from] as number) - v * (h[k * stride + j] as number);
    }
    const diagonal = h[row + i] as number;
    own[i - from] = 1;
    for (let j = from; j < to; j++) h[row + j] = j < i ? 0 : (own[j - from] as number) / diagonal;
  }
  return true;
}

/** A copy of some rows and columns. */
function block(a: Float64Array, stride: number, top: number, bottom: number, left: number, right: number): Float64Array {
  const out = new Float64Array((bottom - top) * (right - left));
  for (let i = top; i < bottom; i++) out.set(a.subarray(i * stride + left, i * stride + right), (i - top) * (right - left));
  return out;
}
