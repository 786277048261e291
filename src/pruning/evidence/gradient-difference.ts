import type { NormRequest } from "../../autodiff/ghost.ts";
import { buildScoreGraph, type ScoreGraph } from "../../autodiff/score-graph.ts";
import { encode } from "../../onnx/encode.ts";
import { signatureOf } from "../../onnx/signature.ts";
import { widen } from "../../onnx/widen.ts";
import { openSession, type Session, type TensorValue } from "../../runtime/session.ts";
import { specialise } from "../../runtime/specialise.ts";
import type { Views } from "../../text/calibration.ts";
import { scoringBinding } from "../binding.ts";
import type { OpenGroup } from "../open-groups.ts";
import type { Findings, Scene } from "./evidence.ts";

/** Tokens of one run. More would only take more memory: at this size the products already fill the cores. */
const tokensPerRun = 1024;

/**
 * How differently the model's gradients see the two views of each sample: for each structure, one entry a sample, the norm
 * over all of its parameters of `grad L(s) - grad L(s~)`.
 */
export async function* gradientDifference(scene: Scene, groups: readonly OpenGroup[]): AsyncGenerator<number, Findings<readonly number[]>> {
  const { samples, sequenceLength: T, logits } = scene;
  const model = widen(scene.model);
  const P = Math.max(1, Math.min(samples.length, Math.floor(tokensPerRun / (2 * T))));
  const typed = await specialise(model, scoringBinding(model, 2 * P, T, scene.parameters), [logits]);
  const requests = requestsOf(groups);
  const plan = buildScoreGraph(typed, logits, requests);
  const { graph, opsets } = plan.graph;
  const session = await openSession(
    { bytes: encode({ ...model, opsets, graph }), externalFolder: scene.folder },
    { executionProvider: scene.executionProvider, lean: true },
  );
  try {
    return yield* runAll(session, plan, requests, scene, groups, P);
  } finally {
    await session.close();
  }
}

const key = ({ parameter, axis }: NormRequest): string => `${axis ?? ""} ${parameter}`;

/** What the groups need, each once. A parameter that is wanted in slices is not asked for as a whole: the slices add up to it. */
function requestsOf(groups: readonly OpenGroup[]): NormRequest[] {
  const parts = groups.flatMap((g) => g.parts);
  const sliced = new Set(parts.filter((p) => p.axis !== null).map((p) => p.parameter));
  const wanted = parts.filter((p) => p.axis !== null || !sliced.has(p.parameter)).map(({ parameter, axis }) => ({ parameter, axis }));
  return [...new Map(wanted.map((request) => [key(request), request])).values()];
}

async function* runAll(
  session: Session,
  plan: ScoreGraph,
  requests: readonly NormRequest[],
  { model, samples, sequenceLength: T }: Scene,
  groups: readonly OpenGroup[],
  P: number,
): AsyncGenerator<number, Findings<readonly number[]>> {
  const tokens = signatureOf(model.graph.inputs).tokens.name;
  const squares = groups.map((g) => g.indexes.map(() => new Array<number>(samples.length).fill(0)));
  const losses: number[] = [];
  for (let done = 0; done < samples.length; done += P) {
    const batch = samples.slice(done, done + P);
    const { ids, targets, weights } = batchOf(batch, P, T);
    const out = await session.run({ [tokens]: ids, [plan.targets]: targets, [plan.weights]: weights });
    const norms = (out[plan.squaredNorms] as TensorValue<Float32Array>).data;
    const loss = (out[plan.losses] as TensorValue<Float32Array>).data;
    for (const [p] of batch.entries()) {
      addUp(norms.subarray((p * norms.length) / P, ((p + 1) * norms.length) / P), requests, plan, groups, squares, done + p);
      losses.push(loss[2 * p] as number, loss[2 * p + 1] as number);
    }
    yield done + batch.length;
  }
  const mean = (view: 0 | 1) => losses.reduce((sum, l, i) => (i % 2 === view ? sum + l : sum), 0) / samples.length;
  return {
    // A ghost norm near zero may come out a rounding error below it.
    evidence: squares.map((ofGroup) => ofGroup.map((own) => own.map((s) => Math.sqrt(Math.max(0, s))))),
    loss: mean(0),
    perturbedLoss: mean(1),
  };
}

/** Adds one sample's squared norms, [N], to the structures that they are of: a structure's is the sum over its parts. */
function addUp(
  norms: Float32Array,
  requests: readonly NormRequest[],
  { columns }: ScoreGraph,
  groups: readonly OpenGroup[],
  squares: readonly (readonly number[][])[],
  sample: number,
): void {
  const slices = new Map<string, Float32Array>();
  const totals = new Map<string, number>();
  for (const [i, request] of requests.entries()) {
    const { start, length } = columns[i] as (typeof columns)[number];
    const own = norms.subarray(start, start + length);
    slices.set(key(request), own);
    if (!totals.has(request.parameter))
      totals.set(
        request.parameter,
        own.reduce((a, b) => a + b, 0),
      );
  }
  const add = (structure: number[] | undefined, square: number) => {
    if (structure) structure[sample] = (structure[sample] as number) + square;
  };
  for (const [g, { parts }] of groups.entries())
    for (const part of parts) {
      const ofGroup = squares[g] as number[][];
      if (part.axis === null) add(ofGroup[0], totals.get(part.parameter) ?? 0);
      else for (const [at, square] of (slices.get(key(part)) ?? []).entries()) add(ofGroup[part.owners[at] as number], square);
    }
}

/**
 * Feeds of one run: views lie pair by pair, [s1, s~1, s2, s~2, ...], each predicting its next tokens. A view's tokens weigh
 * +1/n if it is unperturbed and -1/n if not, so that the batch's loss is the sum of L(s) - L(s~); padding weighs 0.
 */
function batchOf(batch: readonly Views[], P: number, T: number): Record<"ids" | "targets" | "weights", TensorValue> {
  const ids = new BigInt64Array(2 * P * T);
  const targets = new BigInt64Array(2 * P * T);
  const weights = new Float32Array(2 * P * T);
  for (const [p, { unperturbed, perturbed }] of batch.entries())
    for (const [v, view] of [unperturbed, perturbed].entries()) {
      const row = (2 * p + v) * T;
      const n = Math.min(view.length - 1, T);
      for (let t = 0; t < n; t++) {
        ids[row + t] = BigInt(view[t] as number);
        targets[row + t] = BigInt(view[t + 1] as number);
        weights[row + t] = (v === 0 ? 1 : -1) / n;
      }
    }
  const dims = [2 * P, T];
  return {
    ids: { dataType: "int64", dims, data: ids },
    targets: { dataType: "int64", dims, data: targets },
    weights: { dataType: "float32", dims, data: weights },
  };
}
