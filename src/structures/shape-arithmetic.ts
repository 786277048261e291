import { isFloat, type Model, type Node, type StaticType } from "../onnx/ir.ts";
import { integersOf } from "../onnx/tensors.ts";
import { operatorOf } from "../operators/operators.ts";
import { knownFromShapes } from "../runtime/evaluate.ts";

/** Names of the values a node reads as sizes, positions or axes. */
export const shapeUses = (node: Node): string[] =>
  (operatorOf(node)?.shapeOperands ?? []).map((i) => node.inputs[i] ?? "").filter((name) => name !== "");

/**
 * The elements of every value that is read as a shape, and of all that leads to one, for given static shapes; those that
 * depend on the data are left out.
 *
 * @throws EspalierError ONNX_RUNTIME
 */
export async function shapeValues(model: Model, types: ReadonlyMap<string, StaticType>): Promise<Map<string, number[]>> {
  const { constants, computed } = await knownFromShapes(model, types, model.graph.nodes.flatMap(shapeUses));
  const stated = [...constants.values()].filter((t) => !isFloat(t.dataType) && t.dataType !== "string");
  const direct = stated.map((t) => [t.name, integersOf(t)] as const);
  return new Map([
    ...direct,
    ...Object.entries(computed).map(([name, t]) => [name, Array.from(t.data as Iterable<bigint | number>, Number)] as const),
  ]);
}
