import type { StructureId, StructureKind } from "../structures/structure.ts";

/** The scores of every structure of one kind that was a candidate in an iteration: `scores[i]` is of structure `indexes[i]`. */
export interface ScoreTable {
  readonly kind: StructureKind;
  readonly indexes: readonly number[];
  readonly scores: readonly number[];
}

export interface RemovedStructure extends StructureId {
  readonly score: number;
  readonly parameterCount: number;
}

/** What the pruning loop yields, in order. Structures are named as in the base model throughout a run. */
export type PruningEvent =
  | {
      readonly type: "STARTED";
      /** The provider that really runs. */
      readonly executionProvider: "CPU" | "CUDA";
      readonly parameterCount: number;
      readonly targetParameterCount: number;
      readonly candidates: number;
    }
  /** Samples scored so far in the iteration under way. */
  | { readonly type: "SCORING"; readonly iteration: number; readonly samplesDone: number; readonly samplesTotal: number }
  | {
      readonly type: "ITERATION";
      /** From 0. */
      readonly iteration: number;
      readonly scores: readonly ScoreTable[];
      readonly removed: readonly RemovedStructure[];
      /** After this removal. */
      readonly parameterCount: number;
      readonly removedRatio: number;
      /** Mean loss (nats per token) of the unperturbed and the perturbed views, of the model before this removal; null where the method reads none. */
      readonly loss: number | null;
      readonly perturbedLoss: number | null;
      readonly durationMs: number;
      /** Null while no parameters are gone. */
      readonly estimatedMsLeft: number | null;
    }
  | { readonly type: "FINISHED"; readonly iterations: number; readonly parameterCount: number; readonly removedRatio: number };

/** An iteration as a resumed run needs it: what was removed. */
export type IterationRecord = Extract<PruningEvent, { type: "ITERATION" }>;
