import { structureKinds } from "../../structures/structure.ts";
import type { MethodOf } from "./method.ts";

/**
 * The size of the weights:
 *
 *     score(i) = sum_{w in i} |w|
 */
export const magnitudeL1: MethodOf<"weightSums"> = {
  name: "MAGNITUDE_L1",
  description: "The sum of the weights' absolute values. Needs no text.",
  kinds: structureKinds,
  needs: "weightSums",
  score: ({ absolute }) => absolute,
};

/**
 * The length of the weights:
 *
 *     score(i) = ( sum_{w in i} w^2 )^(1/2)
 */
export const magnitudeL2: MethodOf<"weightSums"> = {
  name: "MAGNITUDE_L2",
  description: "The Euclidean norm of the weights. Needs no text.",
  kinds: structureKinds,
  needs: "weightSums",
  score: ({ squares }) => Math.sqrt(squares),
};
