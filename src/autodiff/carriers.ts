import { consumers } from "../onnx/edit.ts";
import { type Node, sizeOf, type TypedGraph } from "../onnx/ir.ts";
import type { Movement } from "../operators/operator.ts";
import { operatorOf } from "../operators/operators.ts";
import type { SliceRequest } from "./reductions.ts";

type Shape = readonly number[];

/** The axis of the same size behind as many elements, if there is one: elements stay in order. */
const inOrder = (axis: number, from: Shape, to: Shape): number | null => {
  const at = to.findIndex((size, i) => size === from[axis] && sizeOf(to.slice(0, i)) === sizeOf(from.slice(0, axis)));
  return at === -1 ? null : at;
};

/**
 * Where an axis comes to lie in a layout of the same elements, so that a gradient's norm is the same on both sides; null if it is an
 * axis no more, or if elements are repeated.
 */
function movedTo({ steps }: Movement, node: Node, axis: number, from: Shape, to: Shape): number | null {
  if (!steps) return inOrder(axis, from, to);
  const laid = steps(node, from, to);
  const at = laid.indexOf(sizeOf(from.slice(axis + 1)));
  return at === -1 || laid.length !== from.length || laid.includes(0) ? null : at;
}

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
    const movement = node && operatorOf(node)?.moves;
    if (!movement || others.length > 0 || node.inputs[0] !== parameter) return request;
    const [output = ""] = node.outputs;
    if (movement.steps?.(node, shape(parameter), shape(output)).some((step, i) => step === 0 && shape(output)[i] !== 1)) return request;
    const to = axis === null ? null : movedTo(movement, node, axis, shape(parameter), shape(output));
    return axis !== null && to === null ? request : carrier({ parameter: output, axis: to });
  };
  return requests.map(carrier);
}
