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
