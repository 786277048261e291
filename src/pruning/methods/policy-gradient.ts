import { structureKinds } from "../../structures/structure.ts";
import type { MethodOf } from "./method.ts";

/**
 * Pruning by optimisation without back-propagation (arXiv 2406.10576):
 *
 *     minimise over p the expectation of L(m), m ~ Bernoulli(p), by the policy gradient (L(m) - baseline) grad_p log P(m | p),
 *     projected to the target after each step
 *
 * The score of a structure is its learned p. The more structures, the more masks it takes to tell them apart; so it can start from another method's scores
 * (`startFrom`), as the paper's does, and learn what is wrong with them.
 */
export const policyGradient: MethodOf<"keepProbability"> = {
  name: "POLICY_GRADIENT",
  description:
    "Learns the probability that each structure is kept from the losses of random masks (arXiv 2406.10576), from the start or from another method's scores. Needs no gradient, and many masks.",
  kinds: structureKinds,
  needs: "keepProbability",
  learnsFromMasks: true,
  normalization: "NONE",
  score: (probability) => probability,
};
