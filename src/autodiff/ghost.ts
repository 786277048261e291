import type { GraphBuilder, Value } from "../onnx/builder.ts";
import type { Use } from "./backward.ts";
import { Contributions, type Factor } from "./contributions.ts";
import { type Reduction, type SliceRequest, sumTo } from "./reductions.ts";

/** What the norms of `G = left^T right` take beside forming G: of the whole, or along its rows (axis 0) or columns. */
function byGrams(b: GraphBuilder, left: Factor, right: Factor, axis: number | null): { readonly cost: number; norms(): Value } {
  if (axis === null) return { cost: left.gramCost + right.gramCost, norms: () => sumTo(b, b.mul(left.gram(), right.gram()), null) };
  const [own, other] = axis === 0 ? [left, right] : [right, left];
  return {
    cost: other.gramCost + own.n * own.n * own.width,
    norms: () => sumTo(b, b.mul(own.rows(), b.matMul(other.gram(), own.rows())), 1),
  };
}

function squaredNorm(contributions: Contributions, uses: readonly Use[], axis: number | null): Value {
  const { b } = contributions;
  const found = contributions.of(uses);
  if ("left" in found) {
    const { left, right } = found;
    const grams = byGrams(b, left, right, axis);
    if (grams.cost <= left.n * left.width * right.width) return grams.norms();
  }
  const gradient = "left" in found ? contributions.direct(found) : found.gradient;
  return sumTo(b, b.mul(gradient, gradient), axis);
}

/**
 * The squared Frobenius norms of parameters' gradients, or of their slices along an axis, for each sample, without
 * forming the gradients where that takes fewer multiplications (Goodfellow 2015, arXiv 1510.01799; for sequences Li et al.
 * 2021, arXiv 2110.05679): for `G = X^T dY`,
 *
 *     ||G||_F^2 = sum((X X^T) * (dY dY^T))
 *     row i:      sum_t X_ti (dY dY^T X)_ti
 *     column j:   sum_t dY_tj (X X^T dY)_tj
 *
 * Matrices that share an input share its gram matrix.
 */
export const squaredNorms: Reduction = (b, batch, uses, requests) => {
  const contributions = new Contributions(b, batch);
  return requests.map(({ parameter, axis }) => squaredNorm(contributions, uses.get(parameter) as readonly Use[], axis));
};

/**
 * The same, each times the squared norm of the weights that it is of: `||w||^2 ||G||^2`. Its root bounds the first-order
 * change of the loss if those weights went (Cauchy and Schwarz), and does not depend on the unit in which they are written.
 */
export const relativeSquaredNorms: Reduction = (b, batch, uses, requests) =>
  squaredNorms(b, batch, uses, requests).map((norms, i) => {
    const { parameter, axis } = requests[i] as SliceRequest;
    const weight = b.value(parameter);
    const sample = b.reshape(weight, [1, ...weight.shape]);
    return b.mul(norms, sumTo(b, b.mul(sample, sample), axis));
  });
