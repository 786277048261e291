import { defaultPruningOptions, type PruningOptions } from "../../../src/pruning/options.ts";

/** One thing done otherwise than in the base. */
export interface Variation {
  readonly name: string;
  readonly kinds: PruningOptions["structureKinds"];
  readonly options: Partial<PruningOptions>;
}

const perturbation = { ...defaultPruningOptions.perturbation, rate: 0.3 };

/** What is varied: the defaults, but for the share perturbed, which was settled last, by what varying it from this base showed. */
export const baseOptions: PruningOptions = { ...defaultPruningOptions, perturbation };

const byWords: Partial<PruningOptions> = { perturbation: { ...perturbation, kind: "REAL_WORD" } };

/** What the public record of PIP does not settle: each detail varied by itself. */
const ofAny: Readonly<Record<string, Partial<PruningOptions>>> = {
  base: {},
  "perturbed by words": byWords,
  "perturbed by characters": { perturbation: { ...perturbation, kind: "CHARACTER" } },
  "a tenth perturbed": { perturbation: { ...perturbation, rate: 0.1 } },
  "six tenths perturbed": { perturbation: { ...perturbation, rate: 0.6 } },
  "all perturbed": { perturbation: { ...perturbation, rate: 1 } },
  "perturbed once": { perturbation: { ...perturbation, regenerate: false } },
  "4 samples": { samples: 4 },
  "64 samples": { samples: 64 },
  "32 tokens": { sequenceLength: 32 },
  "256 tokens": { sequenceLength: 256 },
  "by weights": { gradientBy: "WEIGHTS" },
  "by weights, perturbed by words": { gradientBy: "WEIGHTS", ...byWords },
  // Whether what the base settles holds with the share that it settled.
  "all perturbed, by words": { perturbation: { ...perturbation, kind: "REAL_WORD", rate: 1 } },
  "all perturbed, by weights": { perturbation: { ...perturbation, rate: 1 }, gradientBy: "WEIGHTS" },
};

const ofLayers = (layers: number): Readonly<Record<string, Partial<PruningOptions>>> => ({
  ...ofAny,
  "all at once": { structuresPerIteration: 100 },
  "first and last protected": { protectFirst: 1, protectLast: 1 },
  "last fifth protected": { protectLast: Math.floor(layers / 5) },
});

/** What else is open where structures are unlike. */
const ofParts: Readonly<Record<string, Partial<PruningOptions>>> = {
  ...ofAny,
  "norms as they are": { normalization: "NONE" },
  "over parameters": { normalization: "PARAMETER_COUNT" },
  "over the kind's mean": { normalization: "KIND_MEAN" },
  "a hundredth at a time": { structuresPerIteration: 0.01 },
  "a tenth at a time": { structuresPerIteration: 0.1 },
  "all at once": { structuresPerIteration: 0.999 },
  "three tenths stay": { minKeepRatio: 0.3 },
  "half stays": { minKeepRatio: 0.5 },
};

const of = (kinds: Variation["kinds"], table: Readonly<Record<string, Partial<PruningOptions>>>): Variation[] =>
  Object.entries(table).map(([name, options]) => ({ name, kinds, options }));

/** @param layers of the model */
export const variations = (layers: number): Variation[] => [...of(["LAYER"], ofLayers(layers)), ...of(["HEAD", "CHANNEL"], ofParts)];
