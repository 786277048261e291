import { type Graph, operatorKey, type StaticType } from "../onnx/ir.ts";
import { type Axis, freeze, leaf, unify } from "../operators/axis.ts";
import { type Call, freezesAll } from "../operators/axis-rules.ts";
import { operators } from "../operators/operators.ts";

/**
 * The axes of every value of a graph, unified as its operators demand.
 *
 * @param types static types of every value
 * @param shapes elements of the values read as shapes (see shape-arithmetic.ts)
 */
export function axesOf(
  graph: Graph,
  opset: number,
  types: ReadonlyMap<string, StaticType>,
  shapes: ReadonlyMap<string, readonly number[]>,
): Map<string, readonly Axis[]> {
  const axes = new Map([...types].map(([name, { shape }]) => [name, shape.map(leaf)]));
  for (const node of graph.nodes) {
    const operator = operatorKey(node);
    const reason = `${operator} "${node.name}"`;
    const call: Call = {
      node,
      opset,
      x: node.inputs.map((name) => axes.get(name) ?? []),
      y: node.outputs.map((name) => axes.get(name) ?? []),
      ints: (i) => shapes.get(node.inputs[i] ?? "") ?? null,
      same: (a, b) => {
        if (a && b) unify(a, b, reason);
      },
      freeze: (list) => {
        for (const a of list) if (a) freeze(a, reason);
      },
    };
    (operators.get(operator)?.axes ?? freezesAll)(call);
  }
  return axes;
}
