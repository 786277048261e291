import { structureKinds } from "../../structures/structure.ts";
import { mean } from "../mean.ts";
import type { MethodOf } from "./method.ts";

/**
 * PIP, Perturbation-based Iterative Pruning (arXiv 2501.15278):
 *
 *     score(i) = mean over samples s of || grad_wi L(s) - grad_wi L(s~) ||2
 *
 * where s~ is the perturbed view of s. With `gradientScale: WEIGHT_NORM` gradients count relative to the weights that they are of:
 *
 *     score(i) = mean over samples s of sqrt( sum over vectors v of i of ( || v || || grad_v L(s) - grad_v L(s~) || )^2 )
 *
 * a vector being what a head or channel has at one position of a weight's axis, and for layers and branches a whole weight
 * (vector by vector too, if heads or channels of it may go in the same run). A structure that reacts to both views alike struggles to tell them apart, and goes.
 */
export const pip: MethodOf<"gradientDifferences"> = {
  name: "PIP",
  description:
    "Perturbation-based Iterative Pruning (arXiv 2501.15278): removes the structures whose gradients hardly differ between a text and its perturbed view.",
  kinds: structureKinds,
  needs: "gradientDifferences",
  perturbs: true,
  score: mean,
};
