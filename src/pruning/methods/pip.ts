import { structureKinds } from "../../structures/structure.ts";
import { mean } from "../mean.ts";
import type { MethodOf } from "./method.ts";

/**
 * PIP, Perturbation-based Iterative Pruning (arXiv 2501.15278):
 *
 *     score(i) = mean over samples s of || grad_wi L(s) - grad_wi L(s~) ||2
 *
 * where s~ is the perturbed view of s. A structure that reacts to both views alike struggles to tell them apart, and goes.
 *
 * What w_i is the public record leaves open. By OUTPUT it is a linear map M_i, at the identity, that what i gives to the residual stream
 * goes through, so that gradients of all layers are in one unit: for d_t being what i adds at token t and ds_t the
 * gradient by the sum,
 *
 *     grad_Mi L = sum over tokens t of d_t^T ds_t
 *
 * Of a head or channel each row v of the last product has a map of its own, which comes to || v || || grad_v L ||. By WEIGHTS
 * w_i is all of i's weights; these gradients shrink along a residual stream that grows, and tell less of what is lost with i (docs/results.md).
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
