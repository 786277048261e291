import { intOf } from "../onnx/attributes.ts";
import { removeDead, usesOf } from "../onnx/edit.ts";
import { encode } from "../onnx/encode.ts";
import { type Graph, isFloat, type Model, type Node, operatorKey, type StaticType, sizeOf, type Tensor } from "../onnx/ir.ts";
import { int64Tensor, tensorOf } from "../onnx/tensors.ts";
import { openSession, type TensorValue } from "./session.ts";

/** What a graph without inputs computes. @throws EspalierError ONNX_RUNTIME */
export async function evaluate(model: Model, values: readonly string[]): Promise<Record<string, TensorValue>> {
  if (values.length === 0) return {};
  const session = await openSession(
    { bytes: encode({ ...model, graph: { ...model.graph, inputs: [], outputs: [], valueInfo: [] } }, values) },
    { executionProvider: "CPU", threads: 1, lean: true },
  );
  try {
    return await session.run({});
  } finally {
    await session.close();
  }
}

/** What follows from shapes and small constants alone: the part of a graph that computes it, of constants, and what it gives. */
export interface Known {
  readonly constants: ReadonlyMap<string, Tensor>;
  readonly computed: Readonly<Record<string, TensorValue>>;
}

/**
 * The values that are wanted, and all that leads to them, for given static shapes; those that depend on the data are left out.
 * What leads from the shapes to them is run by ONNX Runtime, with each Shape replaced by what it gives.
 *
 * @throws EspalierError ONNX_RUNTIME
 */
export async function knownFromShapes(model: Model, types: ReadonlyMap<string, StaticType>, wanted: Iterable<string>): Promise<Known> {
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
  const outputs = [...new Set(wanted)].filter((name) => known.has(name)).map((name) => ({ name, dataType: "int64" as const, shape: null }));
  const part = removeDead({ ...graph, inputs: [], outputs, initializers: constants, nodes, valueInfo: [] });
  const leading = part.nodes.flatMap((n) => n.outputs.filter((o) => o !== ""));
  return { constants: part.initializers, computed: await evaluate({ ...model, graph: part }, leading) };
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

/**
 * Operators whose result has as many entries as their operand's elements say. ONNX Runtime folds none of them, though the
 * operand be constant: so TorchScript writes `repeat_interleave`, of rotary angles for instance.
 */
const sizedByElements: ReadonlySet<string> = new Set(["Compress", "NonZero", "Unique"]);

export const isSizedByElements = (node: Node): boolean => sizedByElements.has(operatorKey(node));

/** A graph in which nodes are the constants that they were found to give. */
export function withResults(graph: Graph, results: Readonly<Record<string, TensorValue>>): Graph {
  const tensors = Object.entries(results).map(([name, value]) => tensorOf(name, value));
  return {
    ...graph,
    initializers: new Map([...graph.initializers, ...tensors.map((t) => [t.name, t] as const)]),
    nodes: graph.nodes.filter((n) => !n.outputs.some((o) => o in results)),
  };
}
