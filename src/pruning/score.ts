import { buildScoreGraph, type ScoreGraph } from "../autodiff/score-graph.ts";
import { widen } from "../autodiff/widen.ts";
import { encode } from "../onnx/encode.ts";
import type { Model } from "../onnx/ir.ts";
import { signatureOf } from "../onnx/signature.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import { openSession, type Session, type TensorValue } from "../runtime/session.ts";
import { specialise } from "../runtime/specialise.ts";
import type { Views } from "../text/calibration.ts";
import { scoringBinding } from "./binding.ts";

/** What one scoring pass over all samples found. */
export interface Evidence {
  /** By parameter: one entry a sample, the squared norm of the gradient of L(s) - L(s~). */
  readonly squaredNorms: ReadonlyMap<string, readonly number[]>;
  /** Mean over samples of each view's loss, in nats per token. */
  readonly loss: number;
  readonly perturbedLoss: number;
}

export interface ScoringRequest {
  readonly model: Model;
  /** Where the model's external data lies. */
  readonly folder: string;
  readonly logits: string;
  /** Every parameter of the model, which folding must keep, and those among them whose gradients are wanted. */
  readonly parameters: readonly string[];
  readonly wanted: readonly string[];
  readonly samples: readonly Views[];
  readonly sequenceLength: number;
  readonly executionProvider: ConcreteProvider;
}

/** Tokens of one run. More would only take more memory: at this size the products already fill the cores. */
const tokensPerRun = 1024;

/**
 * Measures how differently the model's gradients see the two views of each sample. Yields the number of samples done
 * after each run.
 */
export async function* score(request: ScoringRequest): AsyncGenerator<number, Evidence> {
  const { samples, wanted, sequenceLength: T } = request;
  const model = widen(request.model);
  const P = Math.max(1, Math.min(samples.length, Math.floor(tokensPerRun / (2 * T))));
  const typed = await specialise(model, scoringBinding(model, 2 * P, T, request.parameters), [request.logits]);
  const plan = buildScoreGraph(typed, request.logits, wanted);
  const { graph, opsets } = plan.graph;
  const session = await openSession(
    { bytes: encode({ ...model, opsets, graph }), externalFolder: request.folder },
    { executionProvider: request.executionProvider, lean: true },
  );
  try {
    return yield* runAll(session, plan, request, P);
  } finally {
    await session.close();
  }
}

async function* runAll(
  session: Session,
  plan: ScoreGraph,
  { model, samples, wanted, sequenceLength: T }: ScoringRequest,
  P: number,
): AsyncGenerator<number, Evidence> {
  const tokens = signatureOf(model.graph.inputs).tokens.name;
  const squaredNorms = wanted.map(() => new Array<number>(samples.length).fill(0));
  const losses: number[] = [];
  for (let done = 0; done < samples.length; done += P) {
    const batch = samples.slice(done, done + P);
    const { ids, targets, weights } = batchOf(batch, P, T);
    const out = await session.run({ [tokens]: ids, [plan.targets]: targets, [plan.weights]: weights });
    const norms = (out[plan.squaredNorms] as TensorValue<Float32Array>).data;
    const loss = (out[plan.losses] as TensorValue<Float32Array>).data;
    for (const [p] of batch.entries()) {
      for (const [w, ofParameter] of squaredNorms.entries()) ofParameter[done + p] = norms[w * P + p] as number;
      losses.push(loss[2 * p] as number, loss[2 * p + 1] as number);
    }
    yield done + batch.length;
  }
  const mean = (view: 0 | 1) => losses.reduce((sum, l, i) => (i % 2 === view ? sum + l : sum), 0) / samples.length;
  return { squaredNorms: new Map(wanted.map((name, w) => [name, squaredNorms[w] as number[]])), loss: mean(0), perturbedLoss: mean(1) };
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
