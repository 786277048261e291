import { consumers } from "../onnx/edit.ts";
import type { Model, Node, TypedGraph } from "../onnx/ir.ts";
import { operatorOf } from "../operators/operators.ts";
import { carriersOf } from "./carriers.ts";

/** Where a parameter is multiplied with what the text has become. */
export interface Product {
  readonly node: Node;
  /** Name of the value it is multiplied with, whose last axis is summed over. */
  readonly input: string;
  /** The axis of the parameter that is summed over. */
  readonly axis: number;
}

/** The product of each matrix that has one and no more, and that it is read by as it is stored or turned. */
export function productsOf(typed: TypedGraph, parameters: readonly string[]): Map<string, Product> {
  const readers = consumers(typed.graph);
  const matrices = parameters.filter((parameter) => typed.types.get(parameter)?.shape.length === 2);
  const carriers = carriersOf(
    typed,
    matrices.flatMap((parameter) => [0, 1].map((axis) => ({ parameter, axis }))),
  );
  const products = new Map<string, Product>();
  for (const [i, parameter] of matrices.entries()) {
    const carried = carriers.slice(2 * i, 2 * i + 2);
    const name = carried[0]?.parameter as string;
    const [node, ...others] = readers.get(name) ?? [];
    const summed = node && others.length === 0 ? operatorOf(node)?.summedAxis?.(node, node.inputs.lastIndexOf(name)) : null;
    const axis = carried.findIndex((c) => c.axis === summed);
    if (node && summed != null && axis >= 0) products.set(parameter, { node, input: node.inputs[0] as string, axis });
  }
  return products;
}

/** The same of a model as it is stored, whose values' types need not be known. */
export const storedProducts = ({ graph, opsets }: Model, parameters: readonly string[]): Map<string, Product> =>
  productsOf(
    { graph, opsets, types: new Map([...graph.initializers].map(([name, t]) => [name, { dataType: t.dataType, shape: t.dims }])) },
    parameters,
  );
