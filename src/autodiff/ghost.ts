import type { GraphBuilder, Value } from "../onnx/builder.ts";
import type { Factor, Use } from "../operators/operator.ts";
import { type Batch, Contributions } from "./contributions.ts";
import { type OutputRequest, type Reduction, type SliceRequest, sumTo } from "./reductions.ts";

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
  const found = contributions.of(uses);
  return "left" in found ? ofProduct(contributions, found, axis) : ofGradient(contributions.b, found.gradient, axis);
}

function ofProduct(contributions: Contributions, product: { left: Factor; right: Factor }, axis: number | null): Value {
  const { left, right } = product;
  const grams = byGrams(contributions.b, left, right, axis);
  const isCheaper = grams.cost <= left.n * left.width * right.width;
  return isCheaper ? grams.norms() : ofGradient(contributions.b, contributions.direct(product), axis);
}

const ofGradient = (b: GraphBuilder, gradient: Value, axis: number | null): Value => sumTo(b, b.mul(gradient, gradient), axis);

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
 * The same, each times the squared norm of the weights that it is of: `||w||^2 ||G||^2`. Of rows w_v of a matrix that takes
 * x_v to the residual stream these are the squared norms of the gradients by maps M_v, at the identity, that what each row gives goes
 * through: `x_v w_v M_v` has the gradient `w_v^T sum_t x_tv dy_t`.
 */
export const rowOutputNorms: Reduction = (b, batch, uses, requests) =>
  squaredNorms(b, batch, uses, requests).map((norms, i) => {
    const { parameter, axis } = requests[i] as SliceRequest;
    const weight = b.value(parameter);
    const sample = b.reshape(weight, [1, ...weight.shape]);
    return b.mul(norms, sumTo(b, b.mul(sample, sample), axis));
  });

/**
 * The squared Frobenius norms of the gradients by maps of what structures add to the residual stream: for d (B, T, H) and the
 * cotangent ds of the sum that it is part of, `||d^T ds||_F^2` for each sample.
 *
 * @returns one for each request: [S, 1], or null if `sum` has no cotangent
 */
export function outputNorms(
  b: GraphBuilder,
  batch: Batch,
  cotangents: ReadonlyMap<string, Value>,
  requests: readonly OutputRequest[],
): (Value | null)[] {
  const contributions = new Contributions(b, batch);
  return requests.map(({ outputs, sum, entry }) => {
    const whole = cotangents.get(sum);
    if (!whole) return null;
    const own = (v: Value) => (entry ? b.reshape(b.gather(v, b.ints([entry.index]), entry.axis), without(v.shape, entry.axis)) : v);
    const ds = own(whole);
    const d = outputs.map((name) => b.reshape(own(b.value(name)), ds.shape)).reduce(b.add);
    return ofProduct(contributions, { left: contributions.factor(d), right: contributions.factor(ds) }, null);
  });
}

const without = (shape: readonly number[], axis: number): number[] => shape.filter((_, i) => i !== axis);
