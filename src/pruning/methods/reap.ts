import type { MethodOf } from "./method.ts";

/**
 * REAP, router-weighted expert activation pruning (arXiv 2510.13999):
 *
 *     score(j) = mean over the tokens x that chose expert j of g_j(x) || f_j(x) ||2
 *
 * g_j being the weight that the router gives it, f_j what it gives. The paper scores once, with each layer cut alike (`uniform`); here,
 * as with all methods, what is left is scored anew.
 */
export const reap: MethodOf<"routedNorms"> = {
  name: "REAP",
  description:
    "REAP (arXiv 2510.13999): removes the experts whose outputs, weighted by the router, are smallest on the mean of the tokens sent to them. Needs no gradient.",
  kinds: ["EXPERT"],
  needs: "routedNorms",
  normalization: "NONE",
  score: (norm) => norm,
};
