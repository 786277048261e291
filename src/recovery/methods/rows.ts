import * as attr from "../../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../../onnx/builder.ts";
import type { Node } from "../../onnx/ir.ts";

/** What a product multiplies its weights with, times what it counts the product. */
export function scaled(b: GraphBuilder, x: Value, node: Node): Value {
  const alpha = attr.floatOf(node, "alpha", 1);
  return alpha === 1 ? x : b.mul(x, b.scalar(alpha));
}

/** What a product gives, without a bias that it adds by itself. */
export function bare(b: GraphBuilder, node: Node): Value {
  const y = b.value(node.outputs[0] as string);
  const [, , bias = ""] = node.inputs;
  if (bias === "") return y;
  const beta = attr.floatOf(node, "beta", 1);
  return b.sub(y, beta === 1 ? b.value(bias) : b.mul(b.value(bias), b.scalar(beta)));
}
