import type { CompressionMethod } from "./method.ts";
import { prunedByScore } from "./pruned-by-score.ts";

/** The least weights of each output become 0. */
export const magnitude: CompressionMethod = {
  name: "MAGNITUDE",
  description: "The smallest weights of each output become 0. No text is read.",
  schemes: ["SPARSE"],
  options: [],
  needsGram: false,
  compress: (group, options) => prunedByScore(group, options, () => 1),
};
