import type { Blueprint, Mlp } from "../blueprints/blueprint.ts";
import type { Place } from "../blueprints/places.ts";
import type { Matrix } from "./matrix.ts";

/** A layer as it is in a graph. A branch that was removed is null. */
export interface FoundLayer {
  /** Its place in the model that the configuration's rules were made for; null where that is not known. */
  readonly index: number | null;
  readonly attention: { readonly heads: number; readonly kvHeads: number } | null;
  /** Its width; of a mixture, that of each expert, how many there are, and how wide what all tokens are sent to is. */
  readonly mlp: { readonly width: number; readonly experts?: number; readonly shared?: number } | null;
  /** What the graph has of a tensor of one of the layer's branches, laid out as the family has it; null if there is none. */
  matrix(place: Place, branch: "attention" | "mlp"): Matrix | null;
}

/** A graph's weights in the terms of its family. */
export interface FoundWeights {
  readonly layers: readonly FoundLayer[];
  /** The same of what stands around the layers. */
  matrix(place: Place): Matrix | null;
  /** Products that give something that no file of the family has by itself: a bias that made up for what was removed. */
  readonly compensated: readonly ("ATTENTION" | "MLP")[];
  /** Weights of the graph that have been given to nobody. Asked for once all has been given. */
  left(): readonly string[];
}

/** A blueprint's layer, as wide as one in the graph. */
export function asFound(layer: Blueprint["layers"][number], { attention, mlp }: FoundLayer): Blueprint["layers"][number] {
  const { headNorm } = layer.attention;
  const normed = (which: NonNullable<typeof headNorm>["q"], heads: number) =>
    which.heads === undefined
      ? which
      : { ...which, heads, weight: typeof which.weight === "object" && which.weight ? which.weight.slice(0, heads) : which.weight };
  const ofHeads =
    attention && headNorm
      ? { headNorm: { ...headNorm, q: normed(headNorm.q, attention.heads), k: normed(headNorm.k, attention.kvHeads) } }
      : {};
  return {
    ...layer,
    attention: attention ? { ...layer.attention, ...attention, ...ofHeads } : layer.attention,
    mlp: mlp ? narrowed(layer.mlp, mlp) : layer.mlp,
  };
}

function narrowed(mlp: Mlp, { width, experts, shared }: NonNullable<FoundLayer["mlp"]>): Mlp {
  const { mixture } = mlp;
  if (!mixture) return { ...mlp, width };
  const count = experts ?? mixture.count;
  const own = mixture.shared && { shared: { ...mixture.shared, width: shared ?? mixture.shared.width } };
  return { ...mlp, width, mixture: { ...mixture, count, experts: mixture.experts.slice(0, count), ...own } };
}
