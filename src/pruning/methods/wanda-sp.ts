import { structureKinds } from "../../structures/structure.ts";
import type { MethodOf } from "./method.ts";

/**
 * Wanda (arXiv 2306.11695) made structured, over all of a structure's weights:
 *
 *     score(i) = mean over the weights W_ab of i of |W_ab| ||x_a||2
 *
 * x_a being channel a of what the weight is multiplied with, over all calibration tokens. What the FLAP paper (arXiv 2312.11983) compares
 * as Wanda-sp looks at the last product of an attention or MLP alone, sums over a head's channels, and cuts every layer alike.
 */
export const wandaSp: MethodOf<"activity"> = {
  name: "WANDA_SP",
  description:
    "Wanda (arXiv 2306.11695), structured: the weights' absolute values times the norms of what they are multiplied with, on the mean.",
  // Of an expert, what counts are the tokens that it is given, which are not told apart here.
  kinds: structureKinds.filter((kind) => kind !== "EXPERT"),
  needs: "activity",
  normalization: "NONE",
  score: ({ weighted, weights }) => weighted / weights,
};
