import { structureKinds } from "../../structures/structure.ts";
import type { MethodOf } from "./method.ts";

/**
 * Gates learned under a budget, by the gradient of a mask (GRASPrune, arXiv 2604.19398; DDP, arXiv 2603.08065):
 *
 *     score(i) = a running mean over steps of -dL/dm_i over i's parameters, for m_i from 0 to 1, where others that are worth least are closed as the budget asks
 *
 * It is by parameter already, so that nothing more is divided. See `evidence/gates.ts` for the steps.
 */
export const gates: MethodOf<"gateWorth"> = {
  name: "GATES",
  description:
    "Learns under the run's own budget which structures to keep, by the gradient of gates that are closed as it asks (after GRASPrune, arXiv 2604.19398). A forward and a backward pass a step; weights stay as they are.",
  kinds: structureKinds,
  needs: "gateWorth",
  normalization: "NONE",
  score: (worth) => worth,
};
