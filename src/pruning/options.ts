import type { ExecutionProvider } from "../runtime/providers.ts";
import type { StructureKind } from "../structures/structure.ts";
import type { PerturbationKind } from "../text/perturb.ts";

export interface PerturbationOptions {
  readonly kind: PerturbationKind;
  /** Share of words (TOKEN: of tokens) that are changed, 0..1. */
  readonly rate: number;
  /** Whether every iteration draws its perturbations anew (the paper does). */
  readonly regenerate: boolean;
}

/** How a structure's score is divided so that structures of unlike size compare. */
export const normalizations = ["NONE", "PARAMETER_COUNT", "SQRT_PARAMETER_COUNT"] as const;
export type Normalization = (typeof normalizations)[number];

/** What a pruning run is asked to do; all of it is recorded, and with the model's bytes it determines the result. */
export interface PruningOptions {
  /** Parameters to remove, over parameters of the model as stored, 0..1. */
  readonly targetRatio: number;
  readonly structureKinds: readonly StructureKind[];
  readonly structuresPerIteration: number;
  /** Calibration texts, each seen in two views. */
  readonly samples: number;
  /** Tokens of each view. */
  readonly sequenceLength: number;
  readonly perturbation: PerturbationOptions;
  /** Layers at the input side that are never removed. */
  readonly protectFirst: number;
  /** Layers at the output side that are never removed. */
  readonly protectLast: number;
  readonly normalization: Normalization;
  readonly seed: number;
  readonly executionProvider: ExecutionProvider;
}

/** What a client gets who asks for nothing. Measured on the bundled model; the README gives the figures. */
export const defaultPruningOptions: PruningOptions = {
  targetRatio: 0.2,
  structureKinds: ["LAYER"],
  structuresPerIteration: 1,
  samples: 16,
  sequenceLength: 128,
  perturbation: { kind: "REAL_WORD", rate: 0.3, regenerate: true },
  protectFirst: 0,
  protectLast: 0,
  normalization: "NONE",
  seed: 0,
  executionProvider: "AUTO",
};
