/** One layer's part of the cache: keys and values are [B, K, S, D] each, S the room for tokens. */
export interface CacheWidth {
  readonly heads: number;
  readonly width: number;
}

/** The names of a serving graph's inputs and outputs. */
export const ports = {
  /** [B, T] int64. */
  tokens: "serving.tokens",
  /** [B, T] int64: of each token in its sequence. */
  positions: "serving.positions",
  /** [B] int32: tokens of each sequence after this run, less one. */
  lengths: "serving.lengths",
  /** int32: the most tokens of a sequence after this run. */
  total: "serving.total",
  /** [R] int64: which of the B * T tokens logits are wanted for. */
  rows: "serving.rows",
  /** [R, V]. */
  logits: "serving.logits",
  /** [R, H]: what the head reads. */
  hidden: "serving.hidden",
  past: (layer: number, part: "key" | "value") => `serving.past.${layer}.${part}`,
  present: (layer: number, part: "key" | "value") => `serving.present.${layer}.${part}`,
} as const;

/** ONNX Runtime's own operators. */
export const contrib = "com.microsoft";
