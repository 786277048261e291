import { relativeSquaredNorms, squaredNorms } from "../../autodiff/ghost.ts";
import type { Reduction } from "../../autodiff/reductions.ts";
import { buildScoreGraph, type ScoreGraph } from "../../autodiff/score-graph.ts";
import { absoluteFirstOrder, firstOrder } from "../../autodiff/taylor.ts";
import { signatureOf } from "../../onnx/signature.ts";
import { widen } from "../../onnx/widen.ts";
import type { Session, TensorValue } from "../../runtime/session.ts";
import { specialise } from "../../runtime/specialise.ts";
import { scoringBinding } from "../binding.ts";
import { mean } from "../mean.ts";
import type { OpenGroup } from "../open-groups.ts";
import type { GradientScale } from "../options.ts";
import { batchOf, rowsPerRun, viewsOf } from "./batch.ts";
import type { Gather, Scene } from "./evidence.ts";
import { openScoring } from "./open-scoring.ts";
import { byStructure, requestsOf } from "./slices.ts";

/** What one pass over all samples found. */
interface Measured {
  readonly requests: ReturnType<typeof requestsOf>;
  /** For each sample, the answers to each request. */
  readonly answers: readonly (readonly Float32Array[])[];
  readonly loss: number;
  readonly perturbedLoss: number | null;
}

/** What a reduction makes of each sample's gradient: of one view, its own; of two, that of `L(s) - L(s~)`. */
async function* measure(scene: Scene, groups: readonly OpenGroup[], reduce: Reduction, views: 1 | 2): AsyncGenerator<number, Measured> {
  const { samples, sequenceLength: T, whole } = scene;
  const { logits } = whole.anatomy;
  const model = widen(scene.model);
  const S = Math.min(samples.length, rowsPerRun(views * T));
  const typed = await specialise(model, scoringBinding(model, views * S, T, [...whole.parameters.keys()]), [logits]);
  const requests = requestsOf(groups);
  const plan = buildScoreGraph(typed, logits, requests, reduce, views);
  const session = await openScoring(scene, model, plan.graph);
  try {
    return { requests, ...(yield* runAll(session, plan, scene, views, S)) };
  } finally {
    await session.close();
  }
}

async function* runAll(
  session: Session,
  plan: ScoreGraph,
  { model, samples, sequenceLength: T }: Scene,
  views: 1 | 2,
  S: number,
): AsyncGenerator<number, Omit<Measured, "requests">> {
  const tokens = signatureOf(model.graph.inputs).tokens.name;
  const answers: Float32Array[][] = [];
  const losses: number[][] = [[], []];
  for (let done = 0; done < samples.length; done += S) {
    const rows = samples.slice(done, done + S).map((sample) => viewsOf(sample, views));
    // Perturbed views lie at the odd rows of two.
    const { ids, targets, weights } = batchOf(rows.flat(), views * S, T, (row) => (row % views === 1 ? -1 : 1));
    const out = await session.run({ [tokens]: ids, [plan.targets]: targets, [plan.weights]: weights });
    const found = (out[plan.answers] as TensorValue<Float32Array>).data;
    const loss = (out[plan.losses] as TensorValue<Float32Array>).data;
    const width = found.length / S;
    for (const [s] of rows.entries()) {
      answers.push(plan.columns.map(({ start, length }) => found.slice(s * width + start, s * width + start + length)));
      for (let view = 0; view < views; view++) losses[view]?.push(loss[views * s + view] as number);
    }
    yield done + rows.length;
  }
  return { answers, loss: mean(losses[0] ?? []), perturbedLoss: views === 2 ? mean(losses[1] ?? []) : null };
}

/** A gatherer of one entry a sample, each the sum over a structure's parts. */
function perSample(reduce: Reduction, views: 1 | 2, finish: (sum: number) => number): Gather<readonly number[]> {
  return async function* (scene, groups) {
    const { requests, answers, loss, perturbedLoss } = yield* measure(scene, groups, reduce, views);
    const evidence = groups.map((g) => g.indexes.map((): number[] => []));
    for (const own of answers)
      for (const [g, sums] of byStructure(groups, requests, own).entries())
        for (const [i, sum] of sums.entries()) evidence[g]?.[i]?.push(finish(sum));
    return { evidence, loss, perturbedLoss };
  };
}

// A ghost norm near zero may come out a rounding error below it.
const root = (square: number): number => Math.sqrt(Math.max(0, square));

const norms: Readonly<Record<GradientScale, Reduction>> = { NONE: squaredNorms, WEIGHT_NORM: relativeSquaredNorms };

/** One entry a sample: `|| grad L(s) - grad L(s~) ||2` over all of a structure's weights, as they are or relative to their own norms. */
export const gradientDifferences: Gather<readonly number[]> = (scene, groups) =>
  perSample(norms[scene.gradientScale], 2, root)(scene, groups);

/** One entry a sample: `|| grad L(s) ||2` over all of a structure's weights. */
export const gradientNorms = perSample(squaredNorms, 1, root);

/** One entry a sample: `sum |w * grad_w L(s)|` over all of a structure's weights. */
export const absoluteTaylor = perSample(absoluteFirstOrder, 1, (sum) => sum);

/** `sum |sum w * grad_w L|`, L being the mean loss: the inner sum over each vector of weights (or whole parameter), the outer over a structure's. */
export const vectorTaylor: Gather<number> = async function* (scene, groups) {
  const { requests, answers, loss } = yield* measure(scene, groups, firstOrder, 1);
  const means = requests.map((_, r) => {
    const sums = new Float64Array(answers[0]?.[r]?.length ?? 0);
    for (const own of answers) for (const [i, v] of (own[r] ?? []).entries()) sums[i] = (sums[i] as number) + v / answers.length;
    return sums;
  });
  return { evidence: byStructure(groups, requests, means, Math.abs), loss, perturbedLoss: null };
};
