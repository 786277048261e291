import { structureKinds } from "../../structures/structure.ts";
import { mean } from "../mean.ts";
import type { MethodOf } from "./method.ts";

/**
 * PIP, Perturbation-based Iterative Pruning (arXiv 2501.15278):
 *
 *     score(i) = mean over samples s of || grad_wi L(s) - grad_wi L(s~) ||2
 *
 * where s~ is the perturbed view of s. A structure that reacts to both views alike struggles to tell them apart, and goes.
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
