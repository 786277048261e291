import { type Graph, operatorKey, type StaticType } from "../onnx/ir.ts";
import { type Axis, freeze, leaf, unify, weigh } from "../operators/axis.ts";
import { type Call, freezesAll } from "../operators/axis-rules.ts";
import { operators } from "../operators/operators.ts";

/** What is known of the values of a graph. */
export interface Axes {
  readonly axes: ReadonlyMap<string, readonly Axis[]>;
  /** Values whose elements are places along an axis: of the few experts that were chosen for a token, for instance. */
  readonly places: ReadonlyMap<string, Axis>;
}

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
): Axes {
  const axes = new Map([...types].map(([name, { shape }]) => [name, shape.map(leaf)]));
  const places = new Map<string, Axis>();
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
      weigh: (list) => {
        for (const a of list) if (a) weigh(a, reason);
      },
      placesOf: (i) => places.get(node.inputs[i] ?? ""),
      givesPlaces: (i, of) => {
        if (of) places.set(node.outputs[i] ?? "", of);
      },
    };
    const record = operators.get(operator);
    (record?.axes ?? freezesAll)(call);
    if (record?.moves) call.givesPlaces(0, call.placesOf(0));
  }
  return { axes, places };
}
