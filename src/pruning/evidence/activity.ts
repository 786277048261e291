import { EspalierError } from "../../errors.ts";
import { numberAt } from "../../number-at.ts";
import type { Value } from "../../onnx/builder.ts";
import { sizeAt, type Tensor } from "../../onnx/ir.ts";
import { floatsOf } from "../../onnx/tensors.ts";
import type { TensorValue } from "../../runtime/session.ts";
import { batchOf, runOn } from "./batch.ts";
import type { Gather, Scene } from "./evidence.ts";
import { openScoring } from "./open-scoring.ts";
import { productInputs } from "./product-inputs.ts";
import { byStructure, requestsOf } from "./slices.ts";
import { alongAxis } from "./weights.ts";

/** What a structure's weights do with what they are given, x being a product's input over all calibration tokens. */
export interface Activity {
  /** `sum |W_ij| ||x_i||2` over its weights in products, and how many these are. */
  readonly weighted: number;
  readonly weights: number;
}

/** Of the inputs of one product, by channel: the mean, the sum of squares, and the variance, over all calibration tokens. */
export interface InputMoments {
  /** The axis of the parameter along which its channels lie. */
  readonly axis: number;
  readonly mean: Float64Array;
  readonly squares: Float64Array;
  readonly variance: Float64Array;
}

/**
 * Moments, by parameter, of the inputs that products multiply parameters with; of the unperturbed texts, in forward passes.
 * A run gives each channel's mean and its variance about that, which are joined in float64 (Chan, Golub and LeVeque, 1979): the mean
 * of squares less the square of the mean would lose a small variance beside a large mean.
 */
export async function* inputMoments(
  scene: Scene,
  parameters: readonly string[],
): AsyncGenerator<number, ReadonlyMap<string, InputMoments>> {
  const { samples, sequenceLength: T } = scene;
  const { model, b, B, signature, products, inputs, rowsOf } = await productInputs(scene, "activity", samples.length, parameters);
  const weights = b.input("activity/weights", "float32", [B, T]);
  const found = inputs.flatMap((name): Value[] => {
    const rows = rowsOf(name);
    const perToken = sizeAt(rows.shape, 1);
    const average = (v: Value) => b.reduceSum(b.mul(v, b.div(b.reshape(weights, [B * T, 1, 1]), b.scalar(perToken))), [0, 1], false);
    const mean = average(rows);
    const off = b.sub(rows, mean);
    return [mean, average(b.mul(off, off))];
  });
  const joined = b.concat([...found, b.floats([0])], 0);
  const session = await openScoring(scene, model, b.build([joined]));
  const widths = inputs.map((input) => sizeAt(b.value(input).shape, -1));
  const moments = widths.map((width) => ({ mean: new Float64Array(width), variance: new Float64Array(width) }));
  let tokens = 0;
  try {
    for (let done = 0; done < samples.length; done += B) {
      const texts = samples.slice(done, done + B).map((s) => s.unperturbed);
      const feeds = batchOf(signature, texts, [B, T]);
      const own = feeds.counted.data.filter((w) => w > 0).length;
      const data = feeds.counted.data.map((w) => (w > 0 ? 1 / own : 0));
      const out = await runOn(session, { ...feeds.ids, [weights.name]: { ...feeds.counted, data } });
      const values = (out[joined.name] as TensorValue<Float32Array>).data;
      tokens += own;
      let start = 0;
      for (const { mean, variance } of moments) {
        for (let i = 0; i < mean.length; i++) {
          const [theirMean, theirVariance] = [values[start + i] as number, values[start + mean.length + i] as number];
          const share = own / tokens;
          const apart = theirMean - (mean[i] as number);
          mean[i] = (mean[i] as number) + share * apart;
          variance[i] = (1 - share) * (variance[i] as number) + share * theirVariance + share * (1 - share) * apart * apart;
        }
        start += 2 * mean.length;
      }
      yield done + texts.length;
    }
  } finally {
    await session.close();
  }
  const byInput = new Map(inputs.map((input, i) => [input, moments[i] as (typeof moments)[number]]));
  return new Map(
    [...products].map(([parameter, { input, axis }]): [string, InputMoments] => {
      const { mean, variance } = byInput.get(input) as (typeof moments)[number];
      return [parameter, { axis, mean, variance, squares: mean.map((m, i) => tokens * (m * m + numberAt(variance, i))) }];
    }),
  );
}

/** @throws EspalierError UNSUPPORTED_PARAMETER_USE if no plain product reads a structure's weights */
export const activity: Gather<Activity> = async function* (scene, groups) {
  const requests = requestsOf(groups);
  const moments = yield* inputMoments(scene, [...new Set(requests.map((r) => r.parameter))]);
  const sums = requests.map(({ parameter, axis }) => {
    const tensor = scene.model.graph.initializers.get(parameter) as Tensor;
    const found = moments.get(parameter);
    const size = axis === null ? 1 : sizeAt(tensor.dims, axis);
    const [weighted, weights] = [new Float64Array(size), new Float64Array(size)];
    if (found) {
      const values = floatsOf(tensor, scene.read(tensor));
      const norms = found.squares.map(Math.sqrt);
      const channel = channelsOf(tensor.dims, found.axis);
      let i = 0;
      alongAxis(tensor, axis, values, (w, at) => {
        const x = channel(i++);
        weighted[at] = (weighted[at] as number) + Math.abs(w) * (norms[x] as number);
        weights[at] = (weights[at] as number) + 1;
      });
    }
    return { weighted, weights };
  });
  const by = (name: keyof Activity) =>
    byStructure(
      groups,
      requests,
      sums.map((s) => s[name]),
    );
  const [weighted, weights] = [by("weighted"), by("weights")];
  const evidence = groups.map(({ kind, layer, indexes }, g) =>
    indexes.map((index, i): Activity => {
      const own = { weighted: weighted[g]?.[i] as number, weights: weights[g]?.[i] as number };
      if (own.weights > 0) return own;
      throw new EspalierError("UNSUPPORTED_PARAMETER_USE", `${kind} ${index} has no weight in a plain product`, { kind, layer });
    }),
  );
  return { evidence, loss: null, perturbedLoss: null };
};

/** Of the i-th element in order, its position along an axis. */
function channelsOf(dims: readonly number[], axis: number): (i: number) => number {
  const stride = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = sizeAt(dims, axis);
  return (i) => Math.floor(i / stride) % size;
}
