import { mean } from "../mean.ts";
import type { MethodOf } from "./method.ts";

/**
 * The module-wise pruning error of MoPE-CLIP (arXiv 2403.07839), of the language model's loss:
 *
 *     score(i) = mean over samples s of L(s) without i - L(s)
 */
export const leaveOneOut: MethodOf<"lossesWithout"> = {
  name: "LEAVE_ONE_OUT",
  description:
    "Module-wise pruning error (MoPE-CLIP, arXiv 2403.07839): the loss with each structure left out. One forward pass for each structure and sample.",
  kinds: ["LAYER", "ATTENTION", "MLP", "EXPERT", "HEAD"],
  needs: "lossesWithout",
  score: mean,
};
