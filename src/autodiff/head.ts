import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { producers } from "../onnx/edit.ts";
import { isFloat, type Node, sizeAt, sizeOf, type TypedGraph } from "../onnx/ir.ts";
import { isProduct, operatorOf } from "../operators/operators.ts";

/** What leads from a value of each token to its logits, and can be done for some tokens at a time. */
export interface Head {
  /** The value that is read, [..., H] for all tokens. */
  readonly input: string;
  /** From there on, in order. */
  readonly nodes: readonly Node[];
}

/** Logits of so many bytes stand at a time. */
const blockBytes = 32 << 20;

/** Tokens whose logits stand at a time, as equal shares of all. */
export function blockSizes(tokens: number, vocabulary: number): number[] {
  const count = Math.min(tokens, Math.ceil((tokens * vocabulary * 4) / blockBytes));
  return Array.from({ length: count }, (_, i) => Math.floor(((i + 1) * tokens) / count) - Math.floor((i * tokens) / count));
}

/**
 * The head of a model: its last product, with what follows it token by token (scales, caps, biases). Of a graph that has no such
 * end, logits are read as they are, all at once.
 */
export function headOf({ graph, types }: TypedGraph, logits: string): Head {
  const made = producers(graph);
  const varies = new Set(graph.inputs.map((i) => i.name));
  for (const node of graph.nodes) if (node.inputs.some((i) => varies.has(i))) for (const o of node.outputs) varies.add(o);
  const shape = (name: string) => types.get(name)?.shape ?? [];
  const nodes: Node[] = [];
  for (let value = logits; ; ) {
    const node = made.get(value);
    const from = [...new Set(node?.inputs.filter((i) => varies.has(i)))];
    const [input] = from;
    if (!node || input === undefined || from.length > 1 || node.inputs[0] !== input) return { input: logits, nodes: [] };
    const isFolding = operatorOf(node)?.moves?.steps === null && sizeAt(shape(input), -1) === sizeAt(shape(value), -1);
    if (isFolding && isFloat(types.get(input)?.dataType ?? "bool")) {
      value = input;
      continue;
    }
    if (!isByRow(node, shape)) return { input: logits, nodes: [] };
    nodes.unshift(node);
    if (isProduct(node)) return { input, nodes };
    value = input;
  }
}

/** Whether a node does the same with rows [R, H] as with [B, T, H], whatever R is. */
function isByRow(node: Node, shape: (name: string) => readonly number[]): boolean {
  const known = operatorOf(node);
  const others = node.inputs.slice(1).filter((i) => i !== "");
  const lies = known?.tokenWise && !known.moves && !known.cuts && node.outputs.length === 1 && !("axis" in node.attributes);
  if (!lies) return false;
  if (isProduct(node)) return others.every((i) => shape(i).length <= 2);
  const width = sizeAt(shape(node.inputs[0] as string), -1);
  return sizeAt(shape(node.outputs[0] as string), -1) === width && others.every((i) => shape(i).length <= 1);
}

/** A value of all tokens as rows [N, width], in blocks. */
export const rowsIn = (b: GraphBuilder, v: Value, sizes: readonly number[]): Value[] => {
  const width = sizeAt(v.shape, -1);
  const rows = b.reshape(v, [sizeOf(v.shape) / width, width]);
  return sizes.length === 1 ? [rows] : b.split(rows, sizes, 0);
};

/** The logits [R, V] of rows [R, H], as the head has them. */
export function logitsOfRows(b: GraphBuilder, { nodes }: Head, rows: Value): Value {
  const [R = 0] = rows.shape;
  return nodes.reduce((value, node) => {
    const [out = ""] = node.outputs;
    const others = node.inputs.slice(1).map((name) => (name === "" ? null : b.value(name)));
    return b.node(
      node.opType,
      [value, ...others],
      [{ dataType: "float32", shape: [R, sizeAt(b.value(out).shape, -1)] }],
      node.attributes,
      node.domain,
    )[0] as Value;
  }, rows);
}
