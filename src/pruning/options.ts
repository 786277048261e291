import type { ExecutionProvider } from "../runtime/providers.ts";
import { isDivided, type StructureKind } from "../structures/structure.ts";
import type { PerturbationKind } from "../text/perturb.ts";

export interface PerturbationOptions {
  readonly kind: PerturbationKind;
  /** Share of words (TOKEN: of tokens) that are changed, 0..1. */
  readonly rate: number;
  /** Whether every iteration draws its perturbations anew (the paper does). */
  readonly regenerate: boolean;
}

/** How a structure's score is divided so that structures of unlike size compare. */
export const normalizations = ["NONE", "PARAMETER_COUNT", "SQRT_PARAMETER_COUNT", "KIND_MEAN"] as const;
export type Normalization = (typeof normalizations)[number];

/** By what the loss is differentiated: a structure's weights, or a map of what it gives to the residual stream. */
export const gradientPoints = ["WEIGHTS", "OUTPUT"] as const;
export type GradientPoint = (typeof gradientPoints)[number];

/** What makes up for removed heads and channels: nothing, their mean as a bias, or weights solved for by least squares. */
export const restorations = ["NONE", "BIAS", "LEAST_SQUARES"] as const;
export type Restoration = (typeof restorations)[number];

/** Every layer keeps as many experts, heads and channels as the others, and a multiple of these numbers. */
export interface UniformOptions {
  /** 1 in runs that were stored before there were experts. */
  readonly expertMultiple?: number;
  readonly headMultiple: number;
  readonly channelMultiple: number;
}

/** What a pruning run is asked to do; all of it is recorded, and with the model's bytes it determines the result. */
export interface PruningOptions {
  /** Parameters to remove, over parameters of the model as stored, 0..1. */
  readonly targetRatio: number;
  readonly structureKinds: readonly StructureKind[];
  /** 1 or more: so many; below 1: that share of the structures that may go at the start, but at least one. */
  readonly structuresPerIteration: number;
  /** Share of the heads of each attention and the experts and channels of each MLP that stay as long as the branch does, 0..1. */
  readonly minKeepRatio: number;
  /** Null: each layer keeps what scores best, whatever its width comes to. */
  readonly uniform: UniformOptions | null;
  /** Calibration texts, each seen in two views. */
  readonly samples: number;
  /** Tokens of each view. */
  readonly sequenceLength: number;
  readonly perturbation: PerturbationOptions;
  /** Layers at the input side that are never removed. */
  readonly protectFirst: number;
  /** Layers at the output side that are never removed. */
  readonly protectLast: number;
  /** Null: the method's own (`normalizationOf`). */
  readonly normalization: Normalization | null;
  /** Of methods that take norms of gradients. */
  readonly gradientBy: GradientPoint;
  /** Of methods that learn from masks: the method from whose scores they start. Null: from none, all structures alike. */
  readonly startFrom: string | null;
  /** Of methods that learn from masks: how many they draw in each iteration. Null: four runs for each sample, of about 1,024 tokens each. */
  readonly masks: number | null;
  /** Null: the method's own (`restorationOf`). */
  readonly restore: Restoration | null;
  readonly seed: number;
  readonly executionProvider: ExecutionProvider;
}

/** Whether experts, heads or channels may go. */
export const prunesParts = ({ structureKinds }: Pick<PruningOptions, "structureKinds">): boolean =>
  structureKinds.some((kind) => isDivided({ kind }));

/** So many heads of an attention or experts or channels of an MLP that has `count` stay at least: one, whatever the ratio. */
export const leastKept = ({ minKeepRatio }: Pick<PruningOptions, "minKeepRatio">, count: number): number =>
  Math.max(1, Math.ceil(minKeepRatio * count));

/** How many structures an iteration removes, of so many that may go at the start. */
export const structuresAtOnce = (
  { structuresPerIteration: some }: Pick<PruningOptions, "structuresPerIteration">,
  candidates: number,
): number => (some < 1 ? Math.max(1, Math.floor(some * candidates)) : some);

/** What a client gets who asks for nothing: chosen by what docs/results.md measures. */
export const defaultPruningOptions: PruningOptions = {
  targetRatio: 0.2,
  structureKinds: ["LAYER"],
  structuresPerIteration: 0.02,
  minKeepRatio: 0,
  uniform: null,
  samples: 16,
  sequenceLength: 128,
  perturbation: { kind: "TOKEN", rate: 1, regenerate: true },
  protectFirst: 0,
  protectLast: 0,
  normalization: null,
  gradientBy: "OUTPUT",
  startFrom: null,
  masks: null,
  restore: null,
  seed: 0,
  executionProvider: "AUTO",
};
