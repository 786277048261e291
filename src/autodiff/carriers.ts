import * as attr from "../onnx/attributes.ts";
import { consumers } from "../onnx/edit.ts";
import { type Node, operatorKey, sizeOf, type TypedGraph } from "../onnx/ir.ts";
import type { SliceRequest } from "./reductions.ts";

type Shape = readonly number[];

/** The axis of the same size behind as many elements, if there is one: elements stay in order. */
const inOrder = (_: Node, axis: number, from: Shape, to: Shape): number | null => {
  const at = to.findIndex((size, i) => size === from[axis] && sizeOf(to.slice(0, i)) === sizeOf(from.slice(0, axis)));
  return at === -1 ? null : at;
};

const turned = (node: Node, axis: number, from: Shape): number => {
  const order = attr.intsOf(node, "perm") ?? [...from.keys()].reverse();
  return order.indexOf(axis);
};

/**
 * Operators that rearrange or copy the elements of their first input, so that a gradient's norm is the same on both sides:
 * where an axis comes to lie, or null if it is an axis no more.
 */
const isometries: Readonly<Record<string, (node: Node, axis: number, from: Shape, to: Shape) => number | null>> = {
  Cast: inOrder,
  Flatten: inOrder,
  Identity: inOrder,
  Reshape: inOrder,
  Squeeze: inOrder,
  Transpose: turned,
  Unsqueeze: inOrder,
};

/**
 * The value as which each parameter meets the activations, and its axis there: the parameter itself, or, where all that reads
 * it is a Transpose or the like, what comes out of that. The gradients by both have the same norm.
 */
export function carriersOf({ graph, types }: TypedGraph, requests: readonly SliceRequest[]): SliceRequest[] {
  const readers = consumers(graph);
  const shape = (name: string): Shape => types.get(name)?.shape ?? [];
  const carrier = (request: SliceRequest): SliceRequest => {
    const { parameter, axis } = request;
    const [node, ...others] = readers.get(parameter) ?? [];
    const moved = node && isometries[operatorKey(node)];
    if (!moved || others.length > 0 || node.inputs[0] !== parameter) return request;
    const [output = ""] = node.outputs;
    const to = axis === null ? null : moved(node, axis, shape(parameter), shape(output));
    return axis !== null && to === null ? request : carrier({ parameter: output, axis: to });
  };
  return requests.map(carrier);
}
