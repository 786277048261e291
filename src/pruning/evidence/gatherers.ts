import { told } from "../../finished.ts";
import { type Method, type MethodOf, normalizationOf } from "../methods/method.ts";
import type { OpenGroup } from "../open-groups.ts";
import { normalized, type ScoredGroup } from "../select.ts";
import { type Activity, activity } from "./activity.ts";
import { chance } from "./chance.ts";
import type { Findings, Gather, Scene } from "./evidence.ts";
import { fluctuations } from "./fluctuations.ts";
import { gates } from "./gates.ts";
import { absoluteTaylor, gradientDifferences, gradientNorms, vectorTaylor } from "./gradients.ts";
import { keepProbabilities } from "./keep-probabilities.ts";
import { lossesWithout } from "./losses-without.ts";
import { routedNorms } from "./routed-norms.ts";
import { similarity } from "./similarity.ts";
import { type WeightSums, weightSums } from "./weights.ts";

/** The evidence there is, of one structure each. */
export interface EvidenceTypes {
  /** For each sample, the norm of the difference between the gradients of its two views. */
  readonly gradientDifferences: readonly number[];
  /** For each sample, the norm of its gradient. */
  readonly gradientNorms: readonly number[];
  /** The absolute first-order change of the mean loss, vector by vector of weights. */
  readonly vectorTaylor: number;
  /** For each sample, the absolute first-order change of its loss, weight by weight. */
  readonly absoluteTaylor: readonly number[];
  readonly weightSums: WeightSums;
  readonly activity: Activity;
  /** Of each channel by which a head or channel is given to the residual stream, how much it fluctuates. */
  readonly fluctuations: readonly number[];
  /** Mean cosine between what goes into the structure and what comes out, each text counting alike. */
  readonly similarity: number;
  /** For each sample, its loss without the structure, less its loss. */
  readonly lossesWithout: readonly number[];
  /** The learned probability that the structure is kept. */
  readonly keepProbability: number;
  /** What the structure's gate is worth by parameter, as it was learned under the budget. */
  readonly gateWorth: number;
  /** Of an expert, the mean length of what it gives times its weight, over the tokens that chose it. */
  readonly routedNorms: number;
  /** A number of chance's own, 0 to 1. */
  readonly chance: number;
}

const gatherers: { readonly [Need in keyof EvidenceTypes]: Gather<EvidenceTypes[Need]> } = {
  gradientDifferences,
  gradientNorms,
  vectorTaylor,
  absoluteTaylor,
  weightSums,
  activity,
  fluctuations,
  similarity,
  lossesWithout,
  keepProbability: keepProbabilities,
  gateWorth: gates,
  routedNorms,
  chance,
};

/**
 * What a method makes of the open structures of a scene. Yields the number of samples done so far.
 *
 * @param startFrom of a method that learns from masks: the method from whose scores, divided as that has it, it starts
 */
export async function* scored(
  method: Method,
  scene: Scene,
  groups: readonly OpenGroup[],
  startFrom: Method | null = null,
): AsyncGenerator<number, Omit<Findings<never>, "evidence"> & { readonly groups: ScoredGroup[] }> {
  if (startFrom) {
    const first = yield* told(scored(startFrom, scene, groups), () => 0);
    const start = normalized(first.groups, normalizationOf(startFrom)).map((g) => g.scores);
    return yield* scored(method, { ...scene, start }, groups);
  }
  // What a method needs and what it scores are of one type, which a union of methods no longer shows.
  const { needs, score, among } = method as MethodOf<"chance">;
  const { evidence, loss, perturbedLoss } = yield* gatherers[needs](scene, groups);
  const scores = groups.map((group, g): ScoredGroup => {
    const own = evidence[g] ?? [];
    return { ...group, scores: (among?.(own, group.kind) ?? own).map((e) => score(e)) };
  });
  return { groups: scores, loss, perturbedLoss };
}
