import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { sizeAt, sizeOf } from "../onnx/ir.ts";
import type { Use } from "../operators/operator.ts";
import type { Batch } from "./contributions.ts";

/** Of what a number is wanted: a whole parameter's gradient, or each of its slices along an axis. */
export interface SliceRequest {
  readonly parameter: string;
  readonly axis: number | null;
}

/**
 * What a structure adds to the residual stream, d = the sum of `outputs`: a number is wanted of the gradient by a linear map M, at the
 * identity, through which it goes: `sum + d (M - I)`.
 */
export interface OutputRequest {
  /** Values of one size, that of the residual stream. */
  readonly outputs: readonly string[];
  /** The value that comes of the last addition; or the output itself, whose gradient is the same. */
  readonly sum: string;
  /** One entry of an axis that both have; all, if unsaid. */
  readonly entry?: { readonly axis: number; readonly index: number };
  /** Weights that flow into it. */
  readonly parameters: readonly string[];
}

/**
 * What becomes of parameters' gradients, sample by sample: no gradient of a weight leaves the graph.
 *
 * @param uses by parameter, as `backward` gives them
 * @param requests of parameters that are among them
 * @returns one for each request: [S, 1] for a whole, [S, size of the axis] for slices
 * @throws EspalierError UNSUPPORTED_LAYOUT if an activation does not lead with the batch; UNSUPPORTED_PARAMETER_USE if a
 *   parameter meets no activation where it is read (as when an operator first transforms the weight itself)
 */
export type Reduction = (
  b: GraphBuilder,
  batch: Batch,
  uses: ReadonlyMap<string, readonly Use[]>,
  requests: readonly SliceRequest[],
) => Value[];

/** Sums all but the samples and one axis, or all but the samples. [S, ...shape] to [S, shape[axis]] or [S, 1] */
export function sumTo(b: GraphBuilder, v: Value, axis: number | null): Value {
  if (axis !== null) {
    const others = [...v.shape.keys()].filter((i) => i !== 0 && i !== axis + 1);
    return others.length === 0 ? v : b.reduceSum(v, others, false);
  }
  // In two stages: a float32 sum over millions of terms in one run loses digits.
  const samples = sizeAt(v.shape, 0);
  const last = v.shape.length > 1 ? sizeAt(v.shape, -1) : 1;
  return b.reduceSum(b.reduceSum(b.reshape(v, [samples, sizeOf(v.shape) / samples / last, last]), [2], false), [1]);
}
