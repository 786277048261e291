import * as attr from "./attributes.ts";
import { consumers, replaceUses } from "./edit.ts";
import { type Attribute, dataTypes, type Graph, isHalfPrecision, type Model, type Node, type ValueInfo } from "./ir.ts";

/** Attributes that name an element type, by their values for the narrow ones. */
const typeAttributes: ReadonlySet<string> = new Set(["dtype", "softmax_precision", "stash_type", "to"]);
const narrowCodes: ReadonlySet<bigint> = new Set([BigInt(dataTypes.float16.onnx), BigInt(dataTypes.bfloat16.onnx)]);

/**
 * The same model computing in float32 throughout: what it stores in float16 or bfloat16 is cast where it enters, and all
 * that follows is float32. For graphs of gradients, whose sums lose too much in 10 or 7 bits. Weights keep their names,
 * types and bytes; inputs and outputs become float32.
 */
export const toFloat32 = (model: Model): Model => ({ ...model, graph: widened(model.graph) });

/** Casts of one type to the other that are there stay. */
const isWidening = (node: Node): boolean => node.opType === "Cast" && attr.intOf(node, "to", 0) === dataTypes.float32.onnx;

function widened(graph: Graph): Graph {
  const readers = consumers(graph);
  const stored = [...graph.initializers.values()]
    .filter((t) => isHalfPrecision(t.dataType) && !(readers.get(t.name) ?? []).every(isWidening))
    .map((t) => t.name);
  const wide = (v: ValueInfo): ValueInfo =>
    isHalfPrecision(v.dataType) && !graph.initializers.has(v.name) ? { ...v, dataType: "float32" } : v;
  const { nodes } = replaceUses(graph, new Map(stored.map((name) => [name, `${name}/float32`])));
  return {
    ...graph,
    inputs: graph.inputs.map(wide),
    outputs: graph.outputs.map(wide),
    valueInfo: graph.valueInfo.map(wide),
    nodes: [...stored.map((name) => cast(name, `${name}/float32`)), ...nodes.flatMap(widenedNode)],
  };
}

/** A node whose constant is narrow (Constant, ConstantOfShape) makes what it made, and a cast after it takes its name. */
function widenedNode(node: Node): Node[] {
  const attributes = Object.fromEntries(Object.entries(node.attributes).map(([name, a]) => [name, widenedAttribute(name, a)]));
  const [output] = node.outputs as [string];
  if (!Object.values(attributes).some((a) => a.kind === "tensor" && isHalfPrecision(a.value.dataType))) return [{ ...node, attributes }];
  return [{ ...node, attributes, outputs: [`${output}/narrow`] }, cast(`${output}/narrow`, output)];
}

function widenedAttribute(name: string, a: Attribute): Attribute {
  if (a.kind === "graph") return { ...a, value: widened(a.value) };
  return a.kind === "int" && typeAttributes.has(name) && narrowCodes.has(a.value) ? attr.int(dataTypes.float32.onnx) : a;
}

const cast = (from: string, to: string): Node => ({
  name: `${to}/widen`,
  opType: "Cast",
  domain: "",
  inputs: [from],
  outputs: [to],
  attributes: { to: attr.int(dataTypes.float32.onnx) },
});
