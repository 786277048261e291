import { isFloat, type Node, sizeOf, type Tensor } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { operatorOf } from "../operators/operators.ts";
import { dataUses, type Flow } from "./flow.ts";
import { tiedCopies } from "./tied.ts";

const looksUpIn = (node: Node): boolean => operatorOf(node)?.weights === "table";
/** Whether a node lays a whole value out anew. What is cut from one follows positions. */
const turns = (node: Node): boolean => operatorOf(node)?.moves !== undefined;
const rearranges = (node: Node): boolean => turns(node) || operatorOf(node)?.cuts !== undefined;

/** What operators multiply the text with, whole matrices of it. */
const multiplied: ReadonlySet<string> = new Set(["product", "convolution", "experts"]);

/** What is added to a score to hide a token, at most. */
const unseen = -1e4;

/**
 * Trained weights and how many parameters each adds to the model.
 *
 * An initializer is a parameter if it is a float tensor of more than one element that meets the text, itself or after
 * being turned (Transpose, Cast, ...), as a weight does: as an operand of a product or convolution, as a table in which
 * tokens are looked up or from which what is looked up is added (learned positions), as a vector (norm scales, biases), or as
 * a scale or term of any rank (of each head, of each expert). Scalars, masks, and the frequencies, sines and cosines of rotary
 * positions are none.
 *
 * Each weight counts once: of a table of tokens and the matrices tied to it (see tied.ts) the first counts and the others
 * add 0. Other matrices that are equal are as many weights: layers that were doubled when a model was made of others, for instance.
 */
export function parametersOf(flow: Flow, read: TensorReader): Map<string, number> {
  const ofMatrices = meetingText(flow, false);
  const ofVectors = meetingText(flow, true);
  const byElement = meetingByElement(flow);
  const isVector = (t: Tensor) => t.dims.filter((d) => d > 1).length === 1;
  const isParameter = (t: Tensor) =>
    isVector(t) ? ofVectors.has(t.name) : ofMatrices.has(t.name) || (byElement.has(t.name) && !isMask(t, read));

  const found = [...flow.graph.initializers.values()].filter((t) => isFloat(t.dataType) && sizeOf(t.dims) > 1 && isParameter(t));
  const tables = new Set(flow.graph.nodes.flatMap((n) => (looksUpTokens(flow, n) ? turnedBack(flow, n.inputs[0] as string) : [])));
  const copies = tiedCopies(found, tables, read);
  return new Map(found.map((t) => [t.name, copies.has(t.name) ? 0 : sizeOf(t.dims)]));
}

const looksUpTokens = ({ stream }: Flow, node: Node): boolean =>
  looksUpIn(node) && !stream.has(node.inputs[0] as string) && stream.has(node.inputs[1] as string);

/** A value and those it is a turned copy of. */
function turnedBack(flow: Flow, name: string): string[] {
  const maker = flow.graph.nodes.find((n) => n.outputs.includes(name) && rearranges(n));
  return [name, ...(maker ? turnedBack(flow, maker.inputs[0] as string) : [])];
}

/** What meets the text: found from the outputs back, so each node is seen once, however many paths lead through it. */
function meetingText({ graph, stream }: Flow, vector: boolean): Set<string> {
  const constant = new Set(["", ...graph.initializers.keys()]);
  for (const node of graph.nodes) if (node.inputs.every((i) => constant.has(i))) for (const o of node.outputs) constant.add(o);

  const found = new Set<string>();
  /** What does so as entries of a table that were chosen by something other than the text. */
  const lookedUp = new Set<string>();
  for (const node of [...graph.nodes].reverse()) {
    const { weights, adds } = operatorOf(node) ?? {};
    const meets = node.outputs.some((o) => stream.has(o));
    const asWeight = vector || (weights !== undefined && multiplied.has(weights));
    const fixed = node.inputs.every((i) => constant.has(i));
    const leads = node.outputs.some((o) => found.has(o));
    const leadsLookedUp = node.outputs.some((o) => lookedUp.has(o));
    for (const name of dataUses(node)) {
      const looksUp = weights === "table" && node.inputs[0] === name;
      const passesLookedUp = leadsLookedUp && (fixed || looksUp || rearranges(node));
      // A vector may be laid out in a shape that follows the text's.
      const passes = leads && (fixed || (vector && turns(node) && constant.has(name)));
      if (meets ? asWeight || looksUp : looksUp ? leadsLookedUp : passes) found.add(name);
      if (meets ? asWeight || looksUp || adds : passesLookedUp) lookedUp.add(name);
    }
  }
  return found;
}

/** What scales the text or is added to it as a whole, element by element: positions are cut from a table or looked up in it. */
function meetingByElement({ graph, stream }: Flow): Set<string> {
  const found = new Set<string>();
  for (const node of [...graph.nodes].reverse()) {
    const leads = node.outputs.some((o) => found.has(o));
    const meets = operatorOf(node)?.weights === "element" && node.outputs.some((o) => stream.has(o));
    for (const name of meets ? dataUses(node) : leads && turns(node) ? [node.inputs[0] as string] : [])
      if (!stream.has(name)) found.add(name);
  }
  return found;
}

/** Whether all elements are 0 or hide a token. */
function isMask(tensor: Tensor, read: TensorReader): boolean {
  if (tensor.dataType !== "float32") return false;
  const bytes = read(tensor);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i + 4 <= bytes.byteLength; i += 4) {
    const value = view.getFloat32(i, true);
    if (value !== 0 && value > unseen) return false;
  }
  return true;
}
