import type { StructureKind } from "../../structures/structure.ts";
import { mean } from "../mean.ts";
import type { MethodOf } from "./method.ts";

/**
 * FLAP, fluctuation-based adaptive structured pruning (arXiv 2312.11983), as its authors' program ranks (structure "AL-AM"):
 *
 *     metric(j) = Var(x_j) ||W_:j||2^2, of each input channel j of a layer's last product; of attentions squared again
 *     score(i) = mean over the channels j of i of (metric(j) - mean) / deviation, both over all channels of the layer
 *
 * so that one threshold serves all, and nothing is divided by sizes. What a removed channel gave on the average,
 * `W_:j mean(x_j)`, is added as a bias. Here the channels are those that are still there, iteration by iteration.
 */
export const flap: MethodOf<"fluctuations"> = {
  name: "FLAP",
  description:
    "FLAP (arXiv 2312.11983): removes the heads and channels whose outputs vary least, and puts their mean into a bias. Needs no gradient.",
  kinds: ["HEAD", "CHANNEL"],
  needs: "fluctuations",
  normalization: "NONE",
  restore: "BIAS",
  among: standardised,
  score: mean,
};

function standardised(group: readonly (readonly number[])[], kind: StructureKind): number[][] {
  const metrics = group.map((own) => own.map((m) => (kind === "HEAD" ? m * m : m)));
  const all = metrics.flat();
  const centre = mean(all);
  // Of a sample, as PyTorch has it. Where all are alike, or there is one, none stands out.
  const deviation = Math.sqrt(all.reduce((sum, m) => sum + (m - centre) ** 2, 0) / (all.length - 1)) || 1;
  return metrics.map((own) => own.map((m) => (m - centre) / deviation));
}
