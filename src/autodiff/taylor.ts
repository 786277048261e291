import type { Value } from "../onnx/builder.ts";
import type { Use } from "../operators/operator.ts";
import { Contributions } from "./contributions.ts";
import { type Reduction, sumTo } from "./reductions.ts";

/**
 * The first-order change of the loss if weights went: `sum w * g` over a whole parameter or along an axis, for each sample.
 * The gradient is not formed: for `G = X^T dY` the sum over row i is `sum_t X_ti (dY W^T)_ti`, over column j
 * `sum_t (X W)_tj dY_tj`.
 */
export const firstOrder: Reduction = (b, batch, uses, requests) => {
  const contributions = new Contributions(b, batch);
  return requests.map(({ parameter, axis }) => {
    const found = contributions.of(uses.get(parameter) as readonly Use[]);
    const weight = b.value(parameter);
    if (!("left" in found)) return sumTo(b, b.mul(found.gradient, weight), axis);
    const [left, right] = [found.left.rows(), found.right.rows()];
    const products: Value = axis === 1 ? b.mul(b.matMul(left, weight), right) : b.mul(left, b.matMul(right, b.transpose(weight)));
    return sumTo(b, products, axis === null ? null : 1);
  });
};

/** The same of each weight by itself: `sum |w * g|`. Here the gradient is formed. */
export const absoluteFirstOrder: Reduction = (b, batch, uses, requests) => {
  const contributions = new Contributions(b, batch);
  return requests.map(({ parameter, axis }) => {
    const found = contributions.of(uses.get(parameter) as readonly Use[]);
    const gradient = "left" in found ? contributions.direct(found) : found.gradient;
    return sumTo(b, b.abs(b.mul(gradient, b.value(parameter))), axis);
  });
};
