import { consumers } from "../onnx/edit.ts";
import { type Graph, operatorKey } from "../onnx/ir.ts";

/** Operators that rearrange or copy the elements of their first input, so that a gradient's norm is the same on both sides. */
const isometries = new Set(["Cast", "Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"]);

/**
 * The value as which each parameter meets the activations: itself, or, where all that reads it is a Transpose or the
 * like, what comes out of that. The gradients by both have the same norm.
 */
export function carriersOf(graph: Graph, parameters: readonly string[]): string[] {
  const readers = consumers(graph);
  const carrier = (name: string): string => {
    const [node, ...others] = readers.get(name) ?? [];
    if (!node || others.length > 0 || !isometries.has(operatorKey(node)) || node.inputs[0] !== name) return name;
    return carrier(node.outputs[0] as string);
  };
  return parameters.map(carrier);
}
