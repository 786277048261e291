import type { StructureKind } from "../../structures/structure.ts";
import type { EvidenceTypes } from "../evidence/gatherers.ts";
import type { Normalization, Restoration } from "../options.ts";

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
  /** Whether it learns from random masks: then it can start from another method's scores, and be given a number of masks. */
  readonly learnsFromMasks?: true;
  /** NONE: its scores do not grow with a structure's size, and are divided by nothing unless that is asked for. */
  readonly normalization?: "NONE";
  /** What makes up for removed heads and channels, unless something else is asked for; NONE if unsaid. */
  readonly restore?: Restoration;
  /** The evidence as it is scored, where it counts by its distance from what others of its kind in the same layer have: never divided. */
  readonly among?: (group: readonly EvidenceTypes[Need][], kind: StructureKind) => readonly EvidenceTypes[Need][];
  score(evidence: EvidenceTypes[Need]): number;
}

/** Whether evidence is of losses, of gradients whose sign says nothing, or of neither. */
const judged: Readonly<Record<keyof EvidenceTypes, "LOSS" | "GRADIENT" | "NOTHING">> = {
  gradientDifferences: "GRADIENT",
  gradientNorms: "GRADIENT",
  absoluteTaylor: "GRADIENT",
  vectorTaylor: "LOSS",
  lossesWithout: "LOSS",
  keepProbability: "LOSS",
  gateWorth: "LOSS",
  weightSums: "NOTHING",
  activity: "NOTHING",
  routedNorms: "NOTHING",
  fluctuations: "NOTHING",
  similarity: "NOTHING",
  chance: "NOTHING",
};

/** What a method needs of what a model is judged by. */
export const judgedBy = ({ needs }: Pick<Method, "needs">): "LOSS" | "GRADIENT" | "NOTHING" => judged[needs];

/** What a method's scores are divided by where nothing else is asked for. */
export const normalizationOf = ({ normalization }: Pick<Method, "normalization">): Normalization => normalization ?? "SQRT_PARAMETER_COUNT";

/** What makes up for removed heads and channels where nothing else is asked for. */
export const restorationOf = ({ restore }: Pick<Method, "restore">): Restoration => restore ?? "NONE";

export type Method = { [Need in keyof EvidenceTypes]: MethodOf<Need> }[keyof EvidenceTypes];
