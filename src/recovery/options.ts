import type { ExecutionProvider } from "../runtime/providers.ts";

/** How the learning rate goes after its warm-up: from its peak to a tenth of it, or not at all. */
export const schedules = ["COSINE", "LINEAR", "CONSTANT"] as const;
export type Schedule = (typeof schedules)[number];

/** The branches whose products get adapters. */
export const adaptedBranches = ["ATTENTION", "MLP"] as const;
export type AdaptedBranch = (typeof adaptedBranches)[number];

/** How much each objective counts; the loss is their sum. 0 leaves one out. */
export interface ObjectiveWeights {
  readonly distill: number;
  readonly languageModel: number;
  readonly hidden: number;
}

/** What a recovery run is asked to do. All of it is recorded; with the bytes of model, teacher and dataset it determines the result. */
export interface RecoveryOptions {
  /** Null: the nearest ancestor that is larger. */
  readonly teacherId: string | null;
  readonly objectives: ObjectiveWeights;
  /** Of the two distributions that are brought together. */
  readonly temperature: number;
  /** Of adapters: columns of the first factor. */
  readonly rank: number;
  /** Adapters count `alpha / rank` times. */
  readonly alpha: number;
  readonly adapt: readonly AdaptedBranch[];
  /** Updates of the trained weights, unless it ends earlier. */
  readonly steps: number;
  /** Texts of one pass; an update has `accumulate` of these. */
  readonly batchSize: number;
  readonly accumulate: number;
  /** What activations of one pass may take at most, in bytes: a pass is split, and what is too much for one text is worked out anew. Null: 4 GiB. */
  readonly activationBytes: number | null;
  /** T: tokens of a text. */
  readonly sequenceLength: number;
  /** The highest that is reached. Null: the method's own. */
  readonly learningRate: number | null;
  /** Steps in which the rate rises from 0. */
  readonly warmupSteps: number;
  readonly schedule: Schedule;
  /** Taken off each trained weight at each step, times the rate. */
  readonly weightDecay: number;
  /** Gradients whose norm is larger are made as short. */
  readonly maxGradientNorm: number;
  /** Every so many steps the held-back loss is measured and a checkpoint stored. */
  readonly checkEverySteps: number;
  /** Texts that are not trained on. */
  readonly heldBackTexts: number;
  /** It ends after so many checks in a row without a better one. */
  readonly patience: number;
  readonly seed: number;
  readonly executionProvider: ExecutionProvider;
}

/** What a client gets who asks for nothing: chosen by what docs/recovery.md measures. */
export const defaultRecoveryOptions: RecoveryOptions = {
  teacherId: null,
  objectives: { distill: 1, languageModel: 0, hidden: 0 },
  temperature: 1,
  rank: 32,
  alpha: 32,
  adapt: ["ATTENTION", "MLP"],
  steps: 120,
  batchSize: 4,
  accumulate: 1,
  activationBytes: null,
  sequenceLength: 128,
  learningRate: null,
  warmupSteps: 10,
  schedule: "COSINE",
  weightDecay: 0,
  maxGradientNorm: 1,
  checkEverySteps: 40,
  heldBackTexts: 32,
  patience: 5,
  seed: 0,
  executionProvider: "AUTO",
};
