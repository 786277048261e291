import { storedProducts } from "../autodiff/products.ts";
import type { Model, Tensor } from "../onnx/ir.ts";
import type { DividedGroup } from "../structures/divide.ts";

/** A product that sums over heads or channels. */
export interface LastProduct {
  readonly parameter: string;
  readonly tensor: Tensor;
  /** The axis of the parameter along which its inputs lie. */
  readonly axis: number;
}

/** Those of a model, each once. */
export function lastProducts(model: Model, groups: readonly DividedGroup[]): LastProduct[] {
  const slices = groups.flatMap((g) => g.slices);
  const products = storedProducts(model, [...new Set(slices.map((s) => s.parameter))]);
  const found = new Map<string, LastProduct>();
  for (const { parameter, axis } of slices)
    if (products.get(parameter)?.axis === axis)
      found.set(parameter, { parameter, axis, tensor: model.graph.initializers.get(parameter) as Tensor });
  return [...found.values()];
}
