import { isFloat, operatorKey, sizeOf, type Tensor } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { dataUses, type Flow } from "./flow.ts";
import { lookups, products, rearrangements, scalings } from "./operators.ts";
import { tiedCopies } from "./tied.ts";

/**
 * Trained weights and how many parameters each adds to the model.
 *
 * An initializer is a parameter if it is a float tensor of more than one element that meets the text, itself or after
 * being turned (Transpose, Cast, ...), as a weight does: as an operand of a product, as a scale of any rank, as a table in
 * which tokens are looked up or from which what is looked up is added (learned positions), or as a vector (norm scales,
 * biases). Scalars, masks, and the frequencies, sines and cosines of rotary positions are none.
 *
 * Each weight counts once: of matrices that are tied (see tied.ts) the first counts and the others add 0. Equal zeros or
 * ones are common in vectors that are not tied, so only matrices are compared.
 */
export function parametersOf(flow: Flow, read: TensorReader): Map<string, number> {
  const ofMatrices = meetingText(flow, false);
  const ofVectors = meetingText(flow, true);
  const isVector = (t: Tensor) => t.dims.filter((d) => d > 1).length === 1;

  const found = [...flow.graph.initializers.values()].filter(
    (t) => isFloat(t.dataType) && sizeOf(t.dims) > 1 && (isVector(t) ? ofVectors : ofMatrices).has(t.name),
  );
  const copies = tiedCopies(found, read);
  return new Map(found.map((t) => [t.name, copies.has(t.name) ? 0 : sizeOf(t.dims)]));
}

/** What meets the text: found from the outputs back, so each node is seen once, however many paths lead through it. */
function meetingText({ graph, stream }: Flow, vector: boolean): Set<string> {
  const constant = new Set(["", ...graph.initializers.keys()]);
  for (const node of graph.nodes) if (node.inputs.every((i) => constant.has(i))) for (const o of node.outputs) constant.add(o);

  const found = new Set<string>();
  /** What does so as entries of a table that were chosen by something other than the text. */
  const lookedUp = new Set<string>();
  /** What does so as a scale, all of it: positions that are cut or looked up are none. */
  const scales = new Set<string>();
  for (const node of [...graph.nodes].reverse()) {
    const operator = operatorKey(node);
    const meets = node.outputs.some((o) => stream.has(o));
    const asWeight = vector || products.has(operator);
    const fixed = node.inputs.every((i) => constant.has(i));
    const leads = node.outputs.some((o) => found.has(o));
    const leadsLookedUp = node.outputs.some((o) => lookedUp.has(o));
    for (const name of dataUses(node)) {
      const looksUp = lookups.has(operator) && node.inputs[0] === name;
      const passesLookedUp = leadsLookedUp && (fixed || looksUp || rearrangements.has(operator));
      const turned = fixed && rearrangements.has(operator) && operator !== "Slice" && node.outputs.some((o) => scales.has(o));
      if (meets ? scalings.has(operator) : turned) scales.add(name);
      if (meets ? asWeight || looksUp : looksUp ? leadsLookedUp : fixed && leads) found.add(name);
      if (meets ? asWeight || looksUp || operator === "Add" : passesLookedUp) lookedUp.add(name);
    }
  }
  return new Set([...found, ...scales]);
}
