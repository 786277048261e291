import * as attr from "../../onnx/attributes.ts";
import { consumers } from "../../onnx/edit.ts";
import { type Graph, type Node, sizeOf, type Tensor } from "../../onnx/ir.ts";
import { int64Tensor } from "../../onnx/tensors.ts";

/** Elements of weights from which one large product and a Split are sooner done than several products. */
const worthASplit = 1 << 18;

/**
 * Makes one product of products of the same value with several weight matrices: queries, keys and values; an MLP's gate and
 * its upward projection. Each product is begun and ended by all threads, which takes as long as reading a small matrix does.
 *
 * A column of a product is summed in the same order whichever columns stand beside it, so results keep their bits. The
 * weights are joined by a Concat, which ONNX Runtime folds when it loads the graph, from weights that stay in their file.
 */
export function mergeProducts(graph: Graph): Graph {
  const readers = consumers(graph);
  const initializers = new Map(graph.initializers);
  const groups = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    const weight = weightOf(graph, node);
    const key = `${weight?.dataType} ${node.inputs[0]}`;
    if (weight) groups.set(key, [...(groups.get(key) ?? []), node]);
  }
  /** What stands in the place of a node. */
  const instead = new Map<Node, readonly Node[]>();
  for (const products of groups.values()) {
    const [first] = products as [Node];
    const attention = readers.get(first.outputs[0] as string)?.find((n) => n.opType === "GroupQueryAttention");
    const operands = attention?.inputs.slice(0, 3).map((name) => products.find((n) => n.outputs[0] === name));
    // Attention takes queries, keys and values apart by itself, if it is the only one to read them.
    const packs =
      attention !== undefined &&
      operands?.length === 3 &&
      new Set(operands).size === 3 &&
      products.length === 3 &&
      products.every((n) => readers.get(n.outputs[0] as string)?.length === 1);
    const ordered = packs ? (operands as Node[]) : products;
    const weights = ordered.map((n) => weightOf(graph, n) as Tensor);
    if (products.length < 2 || (!packs && weights.reduce((n, w) => n + sizeOf(w.dims), 0) < worthASplit)) continue;
    const name = `${first.name}/merged`;
    const node = (part: string, opType: string, inputs: readonly string[], outputs: readonly string[], axis?: number): Node => ({
      name: `${name}${part}`,
      opType,
      domain: "",
      inputs,
      outputs,
      attributes: axis === undefined ? {} : { axis: attr.int(axis) },
    });
    const columns = weights.map((w) => w.dims[1] as number);
    const merged = [
      node(
        "/weights",
        "Concat",
        weights.map((w) => w.name),
        [`${name}/weights`],
        1,
      ),
      node("", "MatMul", [first.inputs[0] as string, `${name}/weights`], [name]),
    ];
    if (packs) instead.set(attention, [{ ...attention, inputs: [name, "", "", ...attention.inputs.slice(3)] }]);
    else {
      initializers.set(`${name}/columns`, int64Tensor(`${name}/columns`, [columns.length], columns));
      merged.push(
        node(
          "/split",
          "Split",
          [name, `${name}/columns`],
          ordered.map((n) => n.outputs[0] as string),
          -1,
        ),
      );
    }
    for (const product of products) instead.set(product, product === first ? merged : []);
  }
  return { ...graph, initializers, nodes: graph.nodes.flatMap((n) => instead.get(n) ?? [n]) };
}

/** The matrix that a product multiplies by, if it is a constant one. */
function weightOf({ initializers }: Graph, { opType, domain, inputs }: Node): Tensor | null {
  const weight = opType === "MatMul" && domain === "" ? initializers.get(inputs[1] ?? "") : undefined;
  return weight?.dims.length === 2 ? weight : null;
}
