import { type Node, operatorKey } from "../../onnx/ir.ts";
import type { Search } from "./layout.ts";
import { type TwoViews, unfit } from "./two-views.ts";

/**
 * Operators that compute each token from itself alone, whatever other tokens and sequences stand beside it. Tokens may meet in
 * attention only: so a token's logits are the same to the bit in any company.
 */
const tokenWise: ReadonlySet<string> = new Set([
  ...["Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Exp", "Log", "Neg", "Abs", "Reciprocal", "Min", "Max", "Clip", "Floor", "Round", "Sign"],
  ...["Tanh", "Sigmoid", "Erf", "Relu", "Gelu", "Elu", "LeakyRelu", "HardSigmoid", "HardSwish", "Softplus", "Sin", "Cos", "Swish", "Mish"],
  ...["Where", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual", "And", "Or", "Not", "IsNaN", "Cast", "Identity"],
  ...["Reshape", "Transpose", "Split", "Slice", "Concat", "Unsqueeze", "Squeeze", "Flatten", "Expand", "Gather"],
  ...["MatMul", "Gemm", "com.microsoft::FusedMatMul", "com.microsoft::MatMulNBits", "com.microsoft::GatherBlockQuantized"],
  ...["ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2", "LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"],
  ...["com.microsoft::SkipLayerNormalization", "com.microsoft::SkipSimplifiedLayerNormalization", "com.microsoft::RotaryEmbedding"],
  ...["com.microsoft::FastGelu", "com.microsoft::Gelu", "com.microsoft::BiasGelu", "com.microsoft::QuickGelu"],
  ...["QuantizeLinear", "DequantizeLinear"],
]);

/** Operators whose inputs meet element by element. */
export const elementwise: ReadonlySet<string> = new Set(["Add", "Sub", "Mul", "Div", "Where", "Tanh", "Cast"]);

/** Products, whose second operand must be no token's. */
const products: ReadonlySet<string> = new Set(["MatMul", "Gemm", "com.microsoft::FusedMatMul"]);

/** @throws EspalierError CANNOT_REWRITE if a node of the stream may mix tokens */
export function requireTokenWise({ stream, sizes }: TwoViews, { types }: Search, node: Node): void {
  const key = operatorKey(node);
  if (!tokenWise.has(key)) unfit(`${key} "${node.name}" is not known to compute each token by itself`);
  if (products.has(key) && stream.has(node.inputs[1] as string)) unfit(`${key} "${node.name}" multiplies tokens by tokens`);
  for (const output of node.outputs.filter((o) => stream.has(o) && types.has(o))) {
    const made = (sizes(output) ?? []).join();
    if (!made.includes("B") || !made.includes("T")) unfit(`${key} "${node.name}" makes one value of several tokens`);
  }
}
