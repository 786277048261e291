import { backward, gradientOf } from "../../src/autodiff/backward.ts";
import { squaredNorms } from "../../src/autodiff/ghost.ts";
import { signedCrossEntropy } from "../../src/autodiff/loss.ts";
import { lower } from "../../src/autodiff/lower.ts";
import { buildScoreGraph } from "../../src/autodiff/score-graph.ts";
import { GraphBuilder } from "../../src/onnx/builder.ts";
import { isFloat, type Model, sizeOf, type TypedGraph } from "../../src/onnx/ir.ts";
import { float32Of } from "../../src/onnx/tensors.ts";
import { toFloat32 } from "../../src/onnx/to-float32.ts";
import { type Random, randomInteger } from "../../src/random.ts";
import { openSession, type Session, type TensorValue } from "../../src/runtime/session.ts";
import { specialise } from "../../src/runtime/specialise.ts";
import { bindingOf } from "../../src/signature/binding.ts";
import { bytesOf, floats } from "../support/finite-differences.ts";
import { answered, everyWay, squaresAlong } from "../support/norms.ts";

/** One parameter's gradient by the graph and by the slope of the loss. */
export interface Slope {
  readonly parameter: string;
  /** Norm of the gradient of `L(s) - L(s~)`, as the backward pass gives it. */
  readonly norm: number;
  /** The loss's slope along the gradient, by central differences of the graph as exported: the norm again, if all is well. */
  readonly slope: number;
  /** By how much float32 sums may blur the slope. */
  readonly blur: number;
  /** The norm by ghost products, where it was asked for. */
  readonly ghost?: number;
  /** The same along each axis: the largest difference between a slice's squared norm and that of the gradient, over the whole's. */
  readonly sliceError?: number;
}

export interface SlopeOptions {
  /** Parameters whose ghost norm is wanted too. */
  readonly ghosts?: readonly string[];
  /** Take the slope of the lowered graph: for a graph that ONNX Runtime itself does not run for two texts at once. */
  readonly lowered?: boolean;
}

/** Weights as the model stores them: float tensors of more than one element. */
export const weightsOf = ({ graph }: Model): string[] =>
  [...graph.initializers.values()].filter((t) => isFloat(t.dataType) && sizeOf(t.dims) > 1).map((t) => t.name);

/** The graph with its weights as inputs, so that one session runs it at many places. */
function openWeights({ graph, ...rest }: TypedGraph, parameters: readonly string[]): TypedGraph {
  const open = new Set(parameters.filter((name) => graph.initializers.has(name)));
  const inputs = [...open].map((name) => ({ name, ...(rest.types.get(name) as { dataType: "float32"; shape: readonly number[] }) }));
  return {
    ...rest,
    graph: {
      ...graph,
      inputs: [...graph.inputs, ...inputs],
      initializers: new Map([...graph.initializers].filter(([name]) => !open.has(name))),
    },
  };
}

const open = (typed: TypedGraph): Promise<Session> =>
  openSession({ bytes: bytesOf(typed) }, { executionProvider: "CPU", threads: 1, lean: true });

/** Compares each parameter's gradient with the slope of the loss along it, on one pair of random views. */
export async function lossSlopes(
  stored: Model,
  logits: string,
  vocabulary: number,
  random: Random,
  { ghosts = [], lowered = false }: SlopeOptions = {},
): Promise<Slope[]> {
  const model = toFloat32(stored);
  const [batch, tokens] = [2, 6];
  const parameters = weightsOf(model);
  const typed = await specialise(model, bindingOf(model, batch, tokens, parameters), [logits]);
  const used = parameters.filter((name) => typed.graph.initializers.has(name));
  const dims = [batch, tokens];
  const ids = (): TensorValue => ({
    dataType: "int64",
    dims,
    data: BigInt64Array.from({ length: batch * tokens }, () => BigInt(randomInteger(random, vocabulary))),
  });
  const name = typed.graph.inputs[0]?.name as string;
  const [input, targets] = [ids(), ids()];
  const weights = floats(
    dims,
    Array.from({ length: batch * tokens }, (_, i) => (i < tokens ? 1 : -1) / tokens),
  );
  const at = Object.fromEntries(
    used.map((p) => [p, floats(typed.types.get(p)?.shape ?? [], float32Of(typed.graph.initializers.get(p) as never))]),
  );

  const b = new GraphBuilder(lower(typed), "gradient");
  const inputs = [b.input("targets", "int64", dims), b.input("weights", "float32", dims)] as const;
  const { dLogits } = signedCrossEntropy(b, b.value(logits), ...inputs);
  const { uses } = backward(b, new Map([[logits, dLogits]]), used);
  const found = used.flatMap((p) => {
    const gradient = gradientOf(b, b.value(p), uses.get(p));
    return gradient ? [[p, gradient] as const] : [];
  });
  const differentiated = await open(openWeights(b.build(found.map(([, g]) => g)), used));
  const gradients = await differentiated.run({ ...at, [name]: input, targets, weights });
  await differentiated.close();

  const norms = new Map<string, Pick<Slope, "ghost" | "sliceError">>();
  if (ghosts.length > 0) {
    const dimsOf = (p: string) => typed.types.get(p)?.shape ?? [];
    const requests = ghosts.flatMap((p) => everyWay(p, dimsOf(p).length));
    const score = buildScoreGraph(typed, logits, requests, squaredNorms, 2);
    const session = await open(openWeights(score.graph, used));
    const fed = Object.fromEntries(session.inputs.filter((i) => at[i.name]).map((i) => [i.name, at[i.name] as TensorValue]));
    const out = await session.run({ ...fed, [name]: input, [score.targets]: targets, [score.weights]: weights });
    await session.close();
    for (const p of ghosts) {
      const gradient = gradients[found.find(([name]) => name === p)?.[1].name ?? ""]?.data as Float32Array | undefined;
      if (!gradient) continue;
      const [whole] = squaresAlong(gradient, dimsOf(p), null) as [number];
      const errors = requests.flatMap(({ parameter, axis }, i) => {
        if (parameter !== p || axis === null) return [];
        const slices = answered(score, out[score.answers]?.data as Float32Array, i, 0, 1);
        const expected = squaresAlong(gradient, dimsOf(p), axis);
        return expected.map((e, at) => Math.abs(e - (slices[at] as number)) / whole);
      });
      const [square] = answered(
        score,
        out[score.answers]?.data as Float32Array,
        requests.findIndex((r) => r.parameter === p),
        0,
        1,
      );
      norms.set(p, { ghost: Math.sqrt(square as number), sliceError: Math.max(...errors) });
    }
  }

  const forward = await open(openWeights(lowered ? lower(typed) : typed, used));
  const loss = async (changed: Record<string, TensorValue>) => {
    const z = (await forward.run({ ...at, ...changed, [name]: input }))[logits] as TensorValue<Float32Array>;
    return differenceOf(z.data, targets, weights);
  };
  const slopes: Slope[] = [];
  for (const [p, value] of found) {
    const g = gradients[value.name]?.data as Float32Array;
    const w = at[p] as TensorValue<Float32Array>;
    const norm = lengthOf(g);
    if (norm === 0) continue;
    // A step that moves the loss by 0.002, or the weight by a hundredth of itself where that is less.
    const step = Math.min(0.002 / norm, 0.01 * Math.max(lengthOf(w.data), 1));
    const moved = (by: number) => ({
      [p]: floats(
        w.dims,
        w.data.map((x, i) => x + (by * (g[i] as number)) / norm),
      ),
    });
    const slope = ((await loss(moved(step))) - (await loss(moved(-step)))) / (2 * step);
    slopes.push({ parameter: p, norm, slope, blur: 2e-6 / step, ...norms.get(p) });
  }
  await forward.close();
  return slopes;
}

const lengthOf = (values: Float32Array): number => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));

/** `L(s) - L(s~)` in float64 from logits [B, T, V]. */
function differenceOf(logits: Float32Array, targets: TensorValue, weights: TensorValue): number {
  const width = logits.length / targets.data.length;
  return Array.from(weights.data as Float32Array).reduce((total, weight, i) => {
    const z = logits.subarray(i * width, (i + 1) * width);
    const top = z.reduce((a, x) => Math.max(a, x), -Infinity);
    const logSum = top + Math.log(z.reduce((sum, x) => sum + Math.exp(x - top), 0));
    return total + weight * (logSum - (z[Number(targets.data[i])] as number));
  }, 0);
}
