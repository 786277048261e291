import type { StructureKind } from "../../structures/structure.ts";
import type { EvidenceTypes } from "../evidence/gatherers.ts";
import type { Normalization } from "../options.ts";

/**
 * A pruning method: how the evidence of one structure becomes one number. The lowest number is removed first.
 * A method says what it needs and scores; it never sees a session, a graph or the loop.
 */
export interface MethodOf<Need extends keyof EvidenceTypes> {
  /** Its name in the API. */
  readonly name: string;
  /** What it does and where it is from, for people who choose. */
  readonly description: string;
  /** The kinds of structure it can score. */
  readonly kinds: readonly StructureKind[];
  /** The evidence it scores. */
  readonly needs: Need;
  /** Whether it compares a text with its perturbed view; else there is nothing to perturb. */
  readonly perturbs?: true;
  /** Scores of all kinds and sizes are in one unit already: they are divided by nothing. */
  readonly undivided?: true;
  /** What a removed structure gave on the average is added as a bias to where it went. */
  readonly compensates?: true;
  /** The evidence as it is scored, where it counts by what the others of its kind in the same layer have. */
  readonly among?: (group: readonly EvidenceTypes[Need][], kind: StructureKind) => readonly EvidenceTypes[Need][];
  score(evidence: EvidenceTypes[Need]): number;
}

/** What a method's scores are divided by where nothing else is asked for. */
export const normalizationOf = ({ undivided }: Pick<Method, "undivided">): Normalization => (undivided ? "NONE" : "SQRT_PARAMETER_COUNT");

export type Method = { [Need in keyof EvidenceTypes]: MethodOf<Need> }[keyof EvidenceTypes];
