import * as attr from "../onnx/attributes.ts";
import { consumers, producers } from "../onnx/edit.ts";
import type { Attribute, Graph, Node, Tensor } from "../onnx/ir.ts";
import { int64Tensor } from "../onnx/tensors.ts";

/** Elements of weights from which one large product and a Split are sooner done than several products. */
const worthASplit = 1 << 18;

/** A product of a value with a constant matrix. */
interface Product {
  readonly node: Node;
  /** The matrix as it is stored. */
  readonly stored: Tensor;
  /** Makes the matrix that is multiplied by, if it is stored in another type. */
  readonly cast: Node | null;
}

/**
 * Makes one product of products of the same value with several matrices: queries, keys and values; an MLP's gate and its
 * upward projection. All threads begin and end each product together, which takes as long as reading a small matrix does.
 *
 * A column of a product is summed in the same order whichever columns stand beside it, so results keep their bits. The
 * matrices are joined by a Concat, which ONNX Runtime folds when it loads the graph; they themselves stay in their file.
 */
export function mergeProducts(graph: Graph): Graph {
  const readers = consumers(graph);
  const casts = new Set<Node>();
  const initializers = new Map(graph.initializers);
  /** What stands in the place of a node. */
  const instead = new Map<Node, readonly Node[]>();
  for (const products of productsOfOneValue(graph)) {
    const attention = packing(products, readers);
    const ordered = attention ? attention.operands : products;
    const columns = ordered.map(({ stored }) => stored.dims[1] as number);
    const rows = ordered[0]?.stored.dims[0] as number;
    if (!attention && rows * columns.reduce((a, b) => a + b) < worthASplit) continue;
    const first = products[0]?.node as Node;
    const name = `${first.outputs[0]}/merged`;
    const weights = make(
      "Concat",
      ordered.map(({ node }) => node.inputs[1] as string),
      [`${name}/weights`],
      { axis: attr.int(1) },
    );
    const merged = [weights, make("MatMul", [first.inputs[0] as string, `${name}/weights`], [name])];
    if (attention) instead.set(attention.node, [{ ...attention.node, inputs: [name, "", "", ...attention.node.inputs.slice(3)] }]);
    else {
      initializers.set(`${name}/columns`, int64Tensor(`${name}/columns`, [columns.length], columns));
      merged.push(
        make(
          "Split",
          [name, `${name}/columns`],
          ordered.map(({ node }) => node.outputs[0] as string),
          { axis: attr.int(-1) },
        ),
      );
    }
    for (const { node, cast } of products) {
      instead.set(node, node === first ? merged : []);
      if (cast) casts.add(cast);
    }
  }
  // Casts of matrices come first, for they are read sooner than they were.
  const nodes = [...casts, ...graph.nodes.filter((n) => !casts.has(n)).flatMap((n) => instead.get(n) ?? [n])];
  return { ...graph, initializers, nodes };
}

/** Two or more each, in the graph's order, of matrices of one type. */
function productsOfOneValue(graph: Graph): readonly (readonly Product[])[] {
  const made = producers(graph);
  const groups = new Map<string, Product[]>();
  for (const node of graph.nodes) {
    const [x = "", weight = ""] = node.inputs;
    const maker = made.get(weight);
    const cast = maker?.opType === "Cast" ? maker : null;
    const stored = graph.initializers.get(cast?.inputs[0] ?? weight);
    if (node.opType !== "MatMul" || node.domain !== "" || stored?.dims.length !== 2) continue;
    const key = `${stored.dataType} ${cast ? attr.intOf(cast, "to", 0) : ""} ${x}`;
    groups.set(key, [...(groups.get(key) ?? []), { node, stored, cast }]);
  }
  return [...groups.values()].filter((products) => products.length > 1);
}

/** The attention that reads these products and nothing else does, in the order in which it can take them as one: queries, keys, values. */
function packing(products: readonly Product[], readers: ReadonlyMap<string, readonly Node[]>) {
  const all = new Set(products.flatMap(({ node }) => readers.get(node.outputs[0] as string) ?? []));
  const [node] = all;
  if (all.size !== 1 || node?.opType !== "GroupQueryAttention" || products.length !== 3) return null;
  const operands = node.inputs.slice(0, 3).map((name) => products.find((p) => p.node.outputs[0] === name));
  return operands.includes(undefined) ? null : { node, operands: operands as Product[] };
}

const make = (opType: string, inputs: readonly string[], outputs: readonly string[], attributes: Record<string, Attribute> = {}): Node => ({
  name: outputs[0] as string,
  opType,
  domain: "",
  inputs,
  outputs,
  attributes,
});
