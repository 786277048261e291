import { structureKinds } from "../../structures/structure.ts";
import { mean } from "../mean.ts";
import type { MethodOf } from "./method.ts";

/**
 * The size of the gradient:
 *
 *     score(i) = mean over samples s of || grad_wi L(s) ||2
 *
 * with w_i as in pip.ts: PIP without the second view.
 */
export const gradientNorm: MethodOf<"gradientNorms"> = {
  name: "GRADIENT_NORM",
  description: "The norm of the loss's gradient: removes what the loss is least sensitive to.",
  kinds: structureKinds,
  needs: "gradientNorms",
  score: mean,
};
