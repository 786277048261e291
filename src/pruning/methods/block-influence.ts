import type { MethodOf } from "./method.ts";

/**
 * ShortGPT's Block Influence (arXiv 2403.03853):
 *
 *     score(i) = 1 - mean over samples of the mean over tokens of cos(x_in, x_out)
 *
 * x_in and x_out being the residual stream before and after the structure.
 */
export const blockInfluence: MethodOf<"similarity"> = {
  name: "BLOCK_INFLUENCE",
  description: "ShortGPT's Block Influence (arXiv 2403.03853): removes the layers and branches that turn the residual stream least.",
  kinds: ["LAYER", "ATTENTION", "MLP"],
  needs: "similarity",
  score: (cosine) => 1 - cosine,
};
