import { rowOutputNorms, squaredNorms } from "../../autodiff/ghost.ts";
import type { OutputRequest, Reduction, SliceRequest } from "../../autodiff/reductions.ts";
import { buildScoreGraph, type ScoreGraph } from "../../autodiff/score-graph.ts";
import { absoluteFirstOrder, firstOrder } from "../../autodiff/taylor.ts";
import { EspalierError } from "../../errors.ts";
import { numberAt } from "../../number-at.ts";
import type { TypedGraph } from "../../onnx/ir.ts";
import type { Session, TensorValue } from "../../runtime/session.ts";
import { isDivided } from "../../structures/structure.ts";
import { mean } from "../mean.ts";
import { expertOutputs, type OpenExperts, type OpenGroup } from "../open-groups.ts";
import type { GradientPoint } from "../options.ts";
import { batchOf, rowsPerRun, runOn, viewsOf } from "./batch.ts";
import type { Findings, Gather, Scene } from "./evidence.ts";
import { type JudgedGraph, judgedGraph } from "./judged.ts";
import { lastProductsOf } from "./last-products.ts";
import { openScoring } from "./open-scoring.ts";
import { type ResidualStream, residualStreamOf } from "./residual-stream.ts";
import { byStructure, requestsOf } from "./slices.ts";

/** Tokens of one run, forward and back. More take more memory, and no less time: docs/performance.md. */
const tokensPerBackward = 256;

/** What is asked of each sample's gradient, and how the answers speak of structures. */
interface Question {
  readonly requests: readonly SliceRequest[];
  readonly outputs: readonly OutputRequest[];
  /** @returns by group, one number a structure: the sum over its parts */
  sums(answers: readonly ArrayLike<number>[]): readonly (readonly number[])[];
}

/** What one pass over all samples found. */
interface Measured {
  readonly question: Question;
  /** For each sample, the answers to each request, then to each output. */
  readonly answers: readonly (readonly Float32Array[])[];
  readonly loss: number | null;
  readonly perturbedLoss: number | null;
}

/** Asks of structures' weights. */
function ofWeights(groups: readonly OpenGroup[]): Question {
  const requests = requestsOf(groups);
  return { requests, outputs: [], sums: (answers) => byStructure(groups, requests, answers) };
}

/** Asks of what structures give: wholes at the residual stream, heads and channels row by row of the product that takes them there. */
function ofOutputs(groups: readonly OpenGroup[], branches: ResidualStream["branches"], typed: TypedGraph): Question {
  const lastProduct = lastProductsOf(typed, groups);
  const rows = groups.filter(byRows).map((group) => {
    const last = group.parts.filter((part) => lastProduct(part) !== null);
    if (last.length === 0)
      throw new EspalierError(
        "UNSUPPORTED_PARAMETER_USE",
        `no plain product takes what the ${group.kind}s of layer ${group.layer} give to the residual stream; with gradientBy WEIGHTS they can be scored`,
        { kind: group.kind, layer: group.layer },
      );
    return { ...group, parts: last };
  });
  const wholes = groups.map((group, g): OutputRequest[] => {
    const own = branches[g] ?? [];
    const parameters = group.parts.map((p) => p.parameter);
    if (group.experts) return ofExperts(group, group.experts);
    return isDivided(group) ? [] : [{ outputs: own.map((b) => b.output), sum: own.at(-1)?.sum ?? "", parameters }];
  });
  const requests = requestsOf(rows);
  return {
    requests,
    outputs: wholes.flat(),
    sums(answers) {
      const ofRows = byStructure(rows, requests, answers).values();
      const norms = answers.slice(requests.length).map((norm) => norm[0] ?? 0);
      let at = 0;
      return groups.map((group, g) => {
        if (byRows(group)) return ofRows.next().value as number[];
        const count = wholes[g]?.length ?? 0;
        at += count;
        return norms.slice(at - count, at);
      });
    },
  };
}

const byRows = (group: OpenGroup): boolean => isDivided(group) && !group.experts;

/** Each expert is a whole: what it adds to the others' sum, weights of the router included. */
function ofExperts({ kind, layer, indexes, parts }: OpenGroup, { own, found: { together } }: OpenExperts): OutputRequest[] {
  if (own) return own.map(({ term, parameters }) => ({ outputs: [term], sum: term, parameters }));
  if (!together)
    throw new EspalierError(
      "UNSUPPORTED_PARAMETER_USE",
      `no plain sum takes what the ${kind}s of layer ${layer} give to the residual stream; with gradientBy WEIGHTS they can be scored`,
      { kind, layer },
    );
  const { value, axis } = together;
  const parameters = parts.map((p) => p.parameter);
  return indexes.map((_, index) => ({ outputs: [value], sum: value, parameters, entry: { axis, index } }));
}

/** What a reduction makes of each sample's gradient by weights or outputs: of one view, its own; of two, that of `L(s) - L(s~)`. */
async function* measure(
  scene: Scene,
  groups: readonly OpenGroup[],
  by: GradientPoint,
  reduce: Reduction,
  views: 1 | 2,
): AsyncGenerator<number, Measured> {
  const { samples, sequenceLength: T, judge } = scene;
  const residualStream = residualStreamOf(scene, groups);
  const branches = by === "OUTPUT" ? residualStream.branches : [];
  const inner = by === "OUTPUT" ? groups.flatMap(expertOutputs) : [];
  const values = [...branches.flat().flatMap(({ output, sum }) => [output, sum]), ...inner];
  const model = residualStream.giving(values);
  const S = Math.min(samples.length, rowsPerRun(views * T, scene.tokensPerRun ?? tokensPerBackward));
  const judged = await judgedGraph(scene, model, views * S, values);
  const { typed } = judged;
  const question = by === "OUTPUT" ? ofOutputs(groups, branches, typed) : ofWeights(groups);
  const plan = buildScoreGraph(typed, judged.answer, question.requests, reduce, views, question.outputs, judge?.loss);
  const session = await openScoring(scene, model, plan.graph);
  try {
    return { question, ...(yield* runAll(session, plan, scene, judged, views, S)) };
  } finally {
    await session.close();
  }
}

async function* runAll(
  session: Session,
  plan: ScoreGraph,
  { samples, sequenceLength: T, judge }: Scene,
  { signature, places }: JudgedGraph,
  views: 1 | 2,
  S: number,
): AsyncGenerator<number, Omit<Measured, "question">> {
  const answers: Float32Array[][] = [];
  const losses: number[][] = [[], []];
  for (let done = 0; done < samples.length; done += S) {
    const rows = samples.slice(done, done + S).map((sample) => viewsOf(sample, views));
    // Perturbed views lie at the odd rows of two.
    const { ids, targets, weights } = batchOf(signature, rows.flat(), [views * S, T], places, (row) => (row % views === 1 ? -1 : 1));
    const out = await runOn(session, { ...ids, [plan.targets]: targets, [plan.weights]: weights });
    const found = (out[plan.answers] as TensorValue<Float32Array>).data;
    const loss = (out[plan.losses] as TensorValue<Float32Array>).data;
    const width = found.length / S;
    for (const [s] of rows.entries()) {
      answers.push(plan.columns.map(({ start, length }) => found.slice(s * width + start, s * width + start + length)));
      for (let view = 0; view < views; view++) losses[view]?.push(numberAt(loss, views * s + view));
    }
    yield done + rows.length;
  }
  // Readings along chance directions are no losses.
  if (judge?.loss === "READING") return { answers, loss: null, perturbedLoss: null };
  return { answers, loss: mean(losses[0] ?? []), perturbedLoss: views === 2 ? mean(losses[1] ?? []) : null };
}

/** A gatherer of one entry a sample, each the sum over a structure's parts. */
async function* perSample(
  scene: Scene,
  groups: readonly OpenGroup[],
  by: GradientPoint,
  reduce: Reduction,
  views: 1 | 2,
  finish: (sum: number) => number,
): AsyncGenerator<number, Findings<readonly number[]>> {
  const { question, answers, loss, perturbedLoss } = yield* measure(scene, groups, by, reduce, views);
  const evidence = groups.map((g) => g.indexes.map((): number[] => []));
  for (const own of answers)
    for (const [g, sums] of question.sums(own).entries()) for (const [i, sum] of sums.entries()) evidence[g]?.[i]?.push(finish(sum));
  return { evidence, loss, perturbedLoss };
}

// A ghost norm near zero may come out a rounding error below it.
const root = (square: number): number => Math.sqrt(Math.max(0, square));

const norms: Readonly<Record<GradientPoint, Reduction>> = { WEIGHTS: squaredNorms, OUTPUT: rowOutputNorms };

/** One entry a sample: `|| grad L(s) - grad L(s~) ||2` by a structure's weights or output. */
export const gradientDifferences: Gather<readonly number[]> = (scene, groups) =>
  perSample(scene, groups, scene.gradientBy, norms[scene.gradientBy], 2, root);

/** One entry a sample: `|| grad L(s) ||2` by a structure's weights or output. */
export const gradientNorms: Gather<readonly number[]> = (scene, groups) =>
  perSample(scene, groups, scene.gradientBy, norms[scene.gradientBy], 1, root);

/** One entry a sample: `sum |w * grad_w L(s)|` over all of a structure's weights. */
export const absoluteTaylor: Gather<readonly number[]> = (scene, groups) =>
  perSample(scene, groups, "WEIGHTS", absoluteFirstOrder, 1, (sum) => sum);

/** `sum |sum w * grad_w L|`, L being the mean loss: the inner sum over each vector of weights (or whole parameter), the outer over a structure's. */
export const vectorTaylor: Gather<number> = async function* (scene, groups) {
  const { question, answers, loss } = yield* measure(scene, groups, "WEIGHTS", firstOrder, 1);
  const means = question.requests.map((_, r) => {
    const sums = new Float64Array(answers[0]?.[r]?.length ?? 0);
    for (const own of answers) for (const [i, v] of (own[r] ?? []).entries()) sums[i] = numberAt(sums, i) + v / answers.length;
    return sums;
  });
  return { evidence: byStructure(groups, question.requests, means, Math.abs), loss, perturbedLoss: null };
};
