import * as attr from "../onnx/attributes.ts";
import { type GraphBuilder, normalizeAxis, type Value } from "../onnx/builder.ts";
import { type Node, sizeAt, sizeOf } from "../onnx/ir.ts";
import { scaled, shifted } from "./arithmetic.ts";

/** The axes over which a norm is taken, and what keeps it from dividing by zero. */
export interface NormOptions {
  readonly axes: readonly number[];
  readonly epsilon: number;
}

/** Norms are over `axis` and all that follow it. */
export const normOf = (node: Node, x: Value, epsilon: number): NormOptions => {
  const first = normalizeAxis(attr.intOf(node, "axis", -1), x.shape.length);
  return { axes: [...x.shape.keys()].filter((i) => i >= first), epsilon: attr.floatOf(node, "epsilon", epsilon) };
};

const mean = (b: GraphBuilder, x: Value, axes: readonly number[]): Value =>
  scaled(b, b.reduceSum(x, axes), 1 / sizeOf(axes.map((a) => sizeAt(x.shape, a))));

/** `x / sqrt(mean(x^2) + epsilon) * scale`, and the divisor. (Zhang and Sennrich 2019, arXiv 1910.07467) */
export function rmsNorm(b: GraphBuilder, x: Value, scale: Value, { axes, epsilon }: NormOptions): { y: Value; deviation: Value } {
  const deviation = b.sqrt(shifted(b, mean(b, b.mul(x, x), axes), epsilon));
  return { y: b.mul(b.div(x, deviation), scale), deviation };
}

/** The same of `x - mean(x)`, shifted. (Ba et al. 2016, arXiv 1607.06450) */
export function layerNorm(b: GraphBuilder, x: Value, scale: Value, shift: Value | null, options: NormOptions) {
  const centre = mean(b, x, options.axes);
  const { y, deviation } = rmsNorm(b, b.sub(x, centre), scale, options);
  return { y: shift ? b.add(y, shift) : y, centre, deviation };
}
