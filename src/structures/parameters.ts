import { consumers } from "../onnx/edit.ts";
import { isFloat, operatorKey, sizeOf, type Tensor } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { dataUses, type Flow } from "./flow.ts";
import { products, rearrangements } from "./operators.ts";
import { tiedCopies } from "./tied.ts";

/**
 * Trained weights and how many parameters each adds to the model.
 *
 * An initializer is a parameter if it is a float tensor of more than one element that meets the text, itself or after
 * being turned (Transpose, Cast, ...), as a weight does: as an operand of a product, as a table in which tokens are
 * looked up or from which what is looked up is added (learned positions), or as a vector (norm scales, biases). Scalars,
 * masks, and the frequencies, sines and cosines of rotary positions are none.
 *
 * Each weight counts once: of matrices that are tied (see tied.ts) the first counts and the others add 0. Equal zeros or
 * ones are common in vectors that are not tied, so only matrices are compared.
 */
export function parametersOf({ graph, stream }: Flow, read: TensorReader): Map<string, number> {
  const readers = consumers(graph);
  const constant = new Set(["", ...graph.initializers.keys()]);
  for (const node of graph.nodes) if (node.inputs.every((i) => constant.has(i))) for (const o of node.outputs) constant.add(o);

  /** `lookedUp`: entries of a table, chosen by something other than the text. */
  const meetsText = (name: string, vector: boolean, lookedUp = false): boolean =>
    (readers.get(name) ?? []).some((node) => {
      if (!dataUses(node).includes(name)) return false;
      const operator = operatorKey(node);
      const looksUp = operator === "Gather" && node.inputs[0] === name;
      if (node.outputs.some((o) => stream.has(o))) return vector || looksUp || products.has(operator) || (lookedUp && operator === "Add");
      const passes = node.inputs.every((i) => constant.has(i)) || looksUp || (lookedUp && rearrangements.has(operator));
      return passes && node.outputs.some((o) => meetsText(o, vector, lookedUp || looksUp));
    });
  const isVector = (t: Tensor) => t.dims.filter((d) => d > 1).length === 1;

  const found = [...graph.initializers.values()].filter((t) => isFloat(t.dataType) && sizeOf(t.dims) > 1 && meetsText(t.name, isVector(t)));
  const copies = tiedCopies(found, read);
  return new Map(found.map((t) => [t.name, copies.has(t.name) ? 0 : sizeOf(t.dims)]));
}
