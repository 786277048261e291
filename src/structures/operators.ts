// Operators by what the search for structures needs to know of them, keyed as `operatorKey`.

/** Contractions: where weights meet the stream, and, where both sides are of the stream, where tokens meet each other. */
export const products: ReadonlySet<string> = new Set([
  "MatMul",
  "Gemm",
  "com.microsoft::FusedMatMul",
  "com.microsoft::TransposeMatMul",
  "com.microsoft::FusedGemm",
  "com.microsoft::Attention",
]);

/** Where neighbouring tokens meet, and weights the stream. */
export const convolutions: ReadonlySet<string> = new Set(["Conv"]);

/** Tables: entries of the first input are chosen by the second. */
export const lookups: ReadonlySet<string> = new Set(["Gather", "GatherElements", "GatherND"]);

/** Where weights scale the stream or are added to it, element by element: norms of heads have a scale for each head. */
export const elementwise: ReadonlySet<string> = new Set([
  "Add",
  "Sub",
  "Mul",
  "Div",
  "LayerNormalization",
  "RMSNormalization",
  "SimplifiedLayerNormalization",
  "com.microsoft::SkipLayerNormalization",
  "com.microsoft::SkipSimplifiedLayerNormalization",
]);

/** Whole attentions in one node. */
export const attentions: ReadonlySet<string> = new Set([
  "Attention",
  "com.microsoft::Attention",
  "com.microsoft::MultiHeadAttention",
  "com.microsoft::GroupQueryAttention",
]);

/** Operators that rearrange the elements of their first input and leave their values alone. */
export const rearrangements: ReadonlySet<string> = new Set([
  "Cast",
  "Expand",
  "Identity",
  "Reshape",
  "Slice",
  "Squeeze",
  "Transpose",
  "Unsqueeze",
]);
