import { lower } from "../../autodiff/lower.ts";
import { productsOf } from "../../autodiff/products.ts";
import { GraphBuilder, type Value } from "../../onnx/builder.ts";
import { sizeOf, type Tensor } from "../../onnx/ir.ts";
import { signatureOf } from "../../onnx/signature.ts";
import { floatsOf } from "../../onnx/tensors.ts";
import { widen } from "../../onnx/widen.ts";
import type { TensorValue } from "../../runtime/session.ts";
import { specialise } from "../../runtime/specialise.ts";
import { scoringBinding } from "../binding.ts";
import { batchOf, rowsPerRun } from "./batch.ts";
import type { Gather, Scene } from "./evidence.ts";
import { openScoring } from "./open-scoring.ts";
import { byStructure, requestsOf } from "./slices.ts";
import { alongAxis } from "./weights.ts";

/** What a structure's weights do with what they are given, x being a product's input over all calibration tokens. */
export interface Activity {
  /** `sum |W_ij| ||x_i||2` over its weights in products, and how many these are. */
  readonly weighted: number;
  readonly weights: number;
  /** `sum Var(x_i) ||W_i||2^2` over the input channels it consists of. */
  readonly fluctuation: number;
}

/** Of the inputs of one product: what each channel is on the average, and the sum of its squares. */
export interface InputMoments {
  /** The axis of the parameter along which its channels lie. */
  readonly axis: number;
  readonly mean: Float64Array;
  readonly squares: Float64Array;
  readonly variance: Float64Array;
}

/** Moments, by parameter, of the inputs that products multiply parameters with; of the unperturbed texts, in forward passes. */
export async function* inputMoments(
  scene: Scene,
  parameters: readonly string[],
): AsyncGenerator<number, ReadonlyMap<string, InputMoments>> {
  const { samples, sequenceLength: T, whole } = scene;
  const { logits } = whole.anatomy;
  const model = widen(scene.model);
  const B = Math.min(samples.length, rowsPerRun(T));
  const typed = lower(await specialise(model, scoringBinding(model, B, T, [...whole.parameters.keys()]), [logits]));
  const products = productsOf(typed, parameters);
  const b = new GraphBuilder(typed, "activity");
  const counted = b.input("activity/counted", "float32", [B, T]);
  const inputs = [...new Set([...products.values()].map((p) => p.input))];
  const sums = inputs.flatMap((name): Value[] => {
    const x = b.value(name);
    const width = x.shape.at(-1) as number;
    const rows = b.mul(b.reshape(x, [B * T, sizeOf(x.shape) / (B * T * width), width]), b.reshape(counted, [B * T, 1, 1]));
    return [rows, b.mul(rows, rows)].map((v) => b.reduceSum(v, [0, 1], false));
  });
  const joined = b.concat([...sums, b.floats([0])], 0);
  const session = await openScoring(scene, model, b.build([joined]));
  const totals = new Float64Array(joined.shape[0] as number);
  let tokens = 0;
  try {
    const name = signatureOf(model.graph.inputs).tokens.name;
    for (let done = 0; done < samples.length; done += B) {
      const texts = samples.slice(done, done + B).map((s) => s.unperturbed);
      const { ids, weights } = batchOf(texts, B, T);
      const mask = weights.data.map((w) => (w > 0 ? 1 : 0));
      tokens += mask.reduce((a, c) => a + c, 0);
      const out = await session.run({ [name]: ids, [counted.name]: { ...weights, data: mask } });
      for (const [i, v] of (out[joined.name] as TensorValue<Float32Array>).data.entries()) totals[i] = (totals[i] as number) + v;
      yield done + texts.length;
    }
  } finally {
    await session.close();
  }
  const moments = new Map<string, Omit<InputMoments, "axis">>();
  let start = 0;
  for (const name of inputs) {
    const width = b.value(name).shape.at(-1) as number;
    const mean = totals.slice(start, start + width).map((v) => v / tokens);
    const squares = totals.slice(start + width, start + 2 * width);
    moments.set(name, { mean, squares, variance: squares.map((s, i) => Math.max(0, s / tokens - (mean[i] as number) ** 2)) });
    start += 2 * width;
  }
  return new Map(
    [...products].map(([parameter, { input, axis }]) => [parameter, { axis, ...(moments.get(input) as Omit<InputMoments, "axis">) }]),
  );
}

export const activity: Gather<Activity> = async function* (scene, groups) {
  const requests = requestsOf(groups);
  const moments = yield* inputMoments(scene, [...new Set(requests.map((r) => r.parameter))]);
  const sums = requests.map(({ parameter, axis }) => {
    const tensor = scene.model.graph.initializers.get(parameter) as Tensor;
    const found = moments.get(parameter);
    const size = axis === null ? 1 : (tensor.dims[axis] as number);
    const [weighted, weights, fluctuation] = [new Float64Array(size), new Float64Array(size), new Float64Array(size)];
    if (found) {
      const values = floatsOf(tensor, scene.read(tensor));
      const norms = found.squares.map(Math.sqrt);
      const channel = channelsOf(tensor.dims, found.axis);
      let i = 0;
      alongAxis(tensor, axis, values, (w, at) => {
        const x = channel(i++);
        weighted[at] = (weighted[at] as number) + Math.abs(w) * (norms[x] as number);
        weights[at] = (weights[at] as number) + 1;
        if (axis === found.axis) fluctuation[at] = (fluctuation[at] as number) + w * w * (found.variance[x] as number);
      });
    }
    return { weighted, weights, fluctuation };
  });
  const by = (name: keyof Activity) =>
    byStructure(
      groups,
      requests,
      sums.map((s) => s[name]),
    );
  const [weighted, weights, fluctuation] = [by("weighted"), by("weights"), by("fluctuation")];
  const evidence = weighted.map((own, g) =>
    own.map((w, i) => ({ weighted: w, weights: weights[g]?.[i] as number, fluctuation: fluctuation[g]?.[i] as number })),
  );
  return { evidence, loss: null, perturbedLoss: null };
};

/** Of the i-th element in order, its position along an axis. */
function channelsOf(dims: readonly number[], axis: number): (i: number) => number {
  const stride = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = dims[axis] as number;
  return (i) => Math.floor(i / stride) % size;
}
