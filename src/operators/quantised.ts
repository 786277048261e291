import { freezesAll } from "./axis-rules.ts";
import type { Operator } from "./operator.ts";

const quantised: Operator = { gradient: "unknown", axes: freezesAll, tokenWise: false, quantised: true };
const tokenWise: Operator = { ...quantised, tokenWise: true };

/**
 * Operators that read, make or unpack quantised tensors: a step has no slope, so a model that has any on the way from its
 * weights to its logits serves, but is not pruned.
 */
export const quantisedOperators = {
  ConvInteger: quantised,
  DequantizeLinear: tokenWise,
  DynamicQuantizeLinear: quantised,
  MatMulInteger: quantised,
  QLinearConv: quantised,
  QLinearMatMul: quantised,
  QuantizeLinear: tokenWise,
  "com.microsoft::DequantizeBFP": quantised,
  "com.microsoft::DequantizeLinear": quantised,
  "com.microsoft::DynamicQuantizeMatMul": quantised,
  "com.microsoft::GatherBlockQuantized": tokenWise,
  "com.microsoft::GemmFloat8": quantised,
  "com.microsoft::MatMulBnb4": quantised,
  "com.microsoft::MatMulFpQ4": quantised,
  "com.microsoft::MatMulInteger16": quantised,
  "com.microsoft::MatMulIntegerToFloat": quantised,
  "com.microsoft::MatMulNBits": tokenWise,
  "com.microsoft::MatMulNBitsMlp": quantised,
  "com.microsoft::MatMulNBitsQkv": quantised,
  "com.microsoft::MulInteger": quantised,
  "com.microsoft::QAttention": quantised,
  "com.microsoft::QEmbedLayerNormalization": quantised,
  "com.microsoft::QGemm": quantised,
  "com.microsoft::QLinearAdd": quantised,
  "com.microsoft::QLinearConcat": quantised,
  "com.microsoft::QLinearMul": quantised,
  "com.microsoft::QLinearReduceMean": quantised,
  "com.microsoft::QLinearSigmoid": quantised,
  "com.microsoft::QLinearSoftmax": quantised,
  "com.microsoft::QLinearWhere": quantised,
  "com.microsoft::QOrderedAttention": quantised,
  "com.microsoft::QOrderedGelu": quantised,
  "com.microsoft::QOrderedLayerNormalization": quantised,
  "com.microsoft::QOrderedMatMul": quantised,
  "com.microsoft::QuantizeLinear": quantised,
} satisfies Record<string, Operator>;
