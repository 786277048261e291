import type { MethodOf } from "./method.ts";

/**
 * FLAP, fluctuation-based adaptive structured pruning (arXiv 2312.11983):
 *
 *     fluctuation(i) = sum over the input channels j of i of Var(x_j) ||W_:j||2^2
 *
 * standardised within each layer's heads and channels, so that one threshold serves all. What a removed channel gave on the
 * average, `W_:j mean(x_j)`, is added as a bias.
 */
export const flap: MethodOf<"activity"> = {
  name: "FLAP",
  description:
    "FLAP (arXiv 2312.11983): removes the heads and channels whose outputs vary least, and puts their mean into a bias. Needs no gradient.",
  kinds: ["HEAD", "CHANNEL"],
  needs: "activity",
  standardises: true,
  compensates: true,
  score: ({ fluctuation }) => fluctuation,
};
