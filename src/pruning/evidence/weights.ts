import { sizeAt, type Tensor } from "../../onnx/ir.ts";
import { floatsOf } from "../../onnx/tensors.ts";
import type { Gather } from "./evidence.ts";
import { byStructure, requestsOf } from "./slices.ts";

/** Sums over all of a structure's weights. */
export interface WeightSums {
  readonly absolute: number;
  readonly squares: number;
}

/** Visits each element of a tensor with its position along an axis (0 where there is none). */
export function alongAxis({ dims }: Tensor, axis: number | null, values: Float32Array, visit: (value: number, at: number) => void): void {
  const stride = axis === null ? values.length : dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = axis === null ? 1 : sizeAt(dims, axis);
  let at = 0;
  for (let start = 0; start < values.length; start += stride) {
    for (let i = start; i < start + stride; i++) visit(values[i] as number, at);
    at = (at + 1) % size;
  }
}

/** Reads the weights, and neither text nor gradient. */
export const weightSums: Gather<WeightSums> = async function* ({ model, read }, groups) {
  const requests = requestsOf(groups);
  const sums = requests.map(({ parameter, axis }) => {
    const tensor = model.graph.initializers.get(parameter) as Tensor;
    const size = axis === null ? 1 : sizeAt(tensor.dims, axis);
    const [absolute, squares] = [new Float64Array(size), new Float64Array(size)];
    alongAxis(tensor, axis, floatsOf(tensor, read(tensor)), (value, at) => {
      absolute[at] = (absolute[at] as number) + Math.abs(value);
      squares[at] = (squares[at] as number) + value * value;
    });
    return { absolute, squares };
  });
  const [absolute, squares] = (["absolute", "squares"] as const).map((name) =>
    byStructure(
      groups,
      requests,
      sums.map((s) => s[name]),
    ),
  ) as [number[][], number[][]];
  const evidence = absolute.map((own, g) => own.map((a, i) => ({ absolute: a, squares: squares[g]?.[i] as number })));
  return { evidence, loss: null, perturbedLoss: null };
};
