import { structureKinds } from "../../structures/structure.ts";
import { mean } from "../mean.ts";
import type { MethodOf } from "./method.ts";

/**
 * LLM-Pruner (arXiv 2305.11627), vector-wise, first order:
 *
 *     score(i) = sum over the weight vectors v of i of | sum_{w in v} w dL/dw |
 *
 * L is the mean loss of all samples; a vector is what a head or channel has at one position of a weight's axis, and for
 * layers and branches a whole weight.
 */
export const taylorVector: MethodOf<"vectorTaylor"> = {
  name: "TAYLOR_VECTOR",
  description: "LLM-Pruner (arXiv 2305.11627), vector-wise: how much the loss would change to first order, vector by vector of weights.",
  kinds: structureKinds,
  needs: "vectorTaylor",
  score: (change) => change,
};

/**
 * LLM-Pruner (arXiv 2305.11627), element-wise, first order; for layers the block Taylor score of Shortened LLaMA
 * (arXiv 2402.02834), whose Taylor+ protects the first four and last two layers besides:
 *
 *     score(i) = mean over samples s of sum_{w in i} | w dL(s)/dw |
 *
 * Sample by sample, so that samples of opposite sign do not cancel: both papers' programs add gradients up over the samples first.
 */
export const taylorElement: MethodOf<"absoluteTaylor"> = {
  name: "TAYLOR_ELEMENT",
  description:
    "LLM-Pruner (arXiv 2305.11627), element-wise, by each sample for itself; for layers Shortened LLaMA's Taylor (arXiv 2402.02834), and its Taylor+ with protectFirst 4 and protectLast 2.",
  kinds: structureKinds,
  needs: "absoluteTaylor",
  score: mean,
};
