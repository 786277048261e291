import type { ModelFile } from "../../artifacts/model-files.ts";
import type { StructureKind } from "../../structures/structure.ts";

/** What went of the structures of one kind in one layer. */
export interface RemovedGroup {
  readonly kind: StructureKind;
  readonly layer: number;
  /** How many there were. */
  readonly count: number;
  readonly removed: number;
}

/** How a model came of its parent. */
export interface Making {
  readonly kind: string;
  readonly method: string | null;
  /** As it was asked for; the seed is among them. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly dataset: { readonly name: string; readonly digest: string } | null;
  /** Every group of the parent's structures; empty for a run that removes none. */
  readonly groups: readonly RemovedGroup[];
}

/** A model of a line: the first was registered, each other made of the one before. */
export interface Generation {
  readonly name: string;
  readonly digest: string;
  /** Its name as a repository of this server. */
  readonly repository: string;
  readonly parameterCount: number;
  readonly sizeBytes: number;
  readonly making: Making | null;
}

/** What a measurement found: numbers by their names. */
export type Measured = Readonly<Record<string, number | null | undefined | string>>;

export interface MeasuredFact {
  readonly dataset: { readonly name: string; readonly digest: string; readonly form: string };
  readonly settings: Readonly<Record<string, unknown>>;
  readonly result: Measured;
  /** Of the parent, measured in the same way; null if it was not. */
  readonly parent: Measured | null;
}

/** All that a card says of a model: plain data, in which nothing depends on when it was asked for. */
export interface CardFacts {
  /** Of this program. */
  readonly version: string;
  readonly line: readonly [Generation, ...Generation[]];
  /** The newest of each way of measuring. */
  readonly evaluations: readonly MeasuredFact[];
  /** The card that the first of the line came with: its licence is carried over. */
  readonly firstCard: ModelFile | null;
}
