import { intOf } from "../onnx/attributes.ts";
import { removeDead, usesOf } from "../onnx/edit.ts";
import { isFloat, type Model, type Node, operatorKey, type StaticType, sizeOf } from "../onnx/ir.ts";
import { int64Tensor, integersOf } from "../onnx/tensors.ts";
import { evaluate } from "../runtime/static-types.ts";

/** Operands that state sizes, positions or axes, by operator. */
const shapeOperands: Readonly<Record<string, readonly number[]>> = {
  ConstantOfShape: [0],
  Expand: [1],
  Gather: [1],
  ReduceMax: [1],
  ReduceMean: [1],
  ReduceSum: [1],
  Reshape: [1],
  Slice: [1, 2, 3, 4],
  Split: [1],
  Squeeze: [1],
  Tile: [1],
  Unsqueeze: [1],
};

/** Names of the values a node reads as sizes, positions or axes. */
export const shapeUses = (node: Node): string[] =>
  (shapeOperands[operatorKey(node)] ?? []).map((i) => node.inputs[i] ?? "").filter((name) => name !== "");

/**
 * The elements of every value that is read as a shape, and of all that leads to one, for given static shapes; those that
 * depend on the data are left out. What leads from the shapes to them is run by ONNX Runtime, with each Shape replaced by what it gives.
 */
export async function shapeValues(model: Model, types: ReadonlyMap<string, StaticType>): Promise<Map<string, number[]>> {
  const { graph } = model;
  const constants = new Map([...graph.initializers].filter(([, t]) => !isFloat(t.dataType) || sizeOf(t.dims) <= 1));
  const nodes: Node[] = [];
  const known = new Set(["", ...constants.keys()]);
  for (const node of graph.nodes) {
    const [output] = node.outputs as [string];
    const stated = statedShape(node, types);
    if (stated) constants.set(output, int64Tensor(output, stated.dims, stated.values));
    else if (usesOf(node).every((u) => known.has(u))) nodes.push(node);
    else continue;
    for (const o of node.outputs) known.add(o);
  }
  const wanted = [...new Set(graph.nodes.flatMap(shapeUses))].filter((name) => known.has(name));
  const outputs = wanted.map((name) => ({ name, dataType: "int64" as const, shape: null }));
  const part = removeDead({ ...graph, inputs: [], outputs, initializers: constants, nodes, valueInfo: [] });
  const leading = part.nodes.flatMap((n) => n.outputs.filter((o) => o !== ""));
  const computed = await evaluate({ ...model, graph: part }, leading);
  const stated = [...part.initializers.values()].filter((t) => !isFloat(t.dataType) && t.dataType !== "string");
  const direct = stated.map((t) => [t.name, integersOf(t)] as const);
  return new Map([
    ...direct,
    ...Object.entries(computed).map(([name, t]) => [name, Array.from(t.data as Iterable<bigint | number>, Number)] as const),
  ]);
}

/** What a Shape or Size gives. */
function statedShape(node: Node, types: ReadonlyMap<string, StaticType>): { dims: number[]; values: number[] } | null {
  const operator = operatorKey(node);
  const shape = types.get(node.inputs[0] ?? "")?.shape;
  if (!shape || (operator !== "Shape" && operator !== "Size")) return null;
  if (operator === "Size") return { dims: [], values: [sizeOf(shape)] };
  const values = shape.slice(intOf(node, "start", 0), intOf(node, "end", shape.length));
  return { dims: [values.length], values };
}
