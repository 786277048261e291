import { int, intOf, ints } from "../onnx/attributes.ts";
import { type Node, operatorKey, type StaticType } from "../onnx/ir.ts";

type Shapes = ReadonlyMap<string, StaticType>;

/** Attributes that count what an axis of an output consists of: attribute, output, axis. They shrink as the axis does. */
const counted: Readonly<Record<string, readonly (readonly [attribute: string, output: number, axis: number])[]>> = {
  "com.microsoft::GroupQueryAttention": [
    ["num_heads", 0, 2],
    ["kv_num_heads", 1, 1],
  ],
  "com.microsoft::RotaryEmbedding": [["num_heads", 0, -1]],
};

/** A node with the counts that its attributes state brought up to date. */
export function withCounts(node: Node, before: Shapes, after: Shapes): Node {
  const shape = (shapes: Shapes, output: number) => shapes.get(node.outputs[output] ?? "")?.shape ?? [];
  const changed: Node["attributes"] = Object.fromEntries(
    (counted[operatorKey(node)] ?? []).flatMap(([attribute, output, axis]) => {
      const [old, was, is] = [intOf(node, attribute, 0), shape(before, output), shape(after, output)];
      // Heads that have an axis of their own are told by it.
      const at = axis === -1 && was.length === 4 ? 1 : axis;
      return old > 0 && was.at(at) !== is.at(at) ? [[attribute, int((old * (is.at(at) as number)) / (was.at(at) as number))]] : [];
    }),
  );
  // Before operator set 13 a Split is told its sizes in an attribute.
  const sizes = node.outputs.map((_, i) => shape(after, i).at(intOf(node, "axis", 0)) as number);
  const split: Node["attributes"] = operatorKey(node) === "Split" && node.attributes["split"] ? { split: ints(sizes) } : {};
  const all = { ...changed, ...split };
  return Object.keys(all).length > 0 ? { ...node, attributes: { ...node.attributes, ...all } } : node;
}
