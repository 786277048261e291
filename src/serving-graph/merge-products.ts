import * as attr from "../onnx/attributes.ts";
import { consumers, producers } from "../onnx/edit.ts";
import type { Attribute, Graph, Node } from "../onnx/ir.ts";
import { int64Tensor } from "../onnx/tensors.ts";

/** Elements of weights from which one large product and a Split are sooner done than several products. */
const worthASplit = 1 << 18;

/** A product of a value with a constant matrix. */
interface Product {
  readonly node: Node;
  /** Rows and columns of what is multiplied by. */
  readonly rows: number;
  readonly columns: number;
  /** What makes that of what is stored, if it is stored in another type or turned. */
  readonly makers: readonly Node[];
  /** The axis of its matrix along which its columns lie: of codes, and of their scales and zero points, the first. */
  readonly axis: 0 | 1;
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
  const makers = new Set<Node>();
  const initializers = new Map(graph.initializers);
  /** What stands in the place of a node. */
  const instead = new Map<Node, readonly Node[]>();
  for (const products of productsOfOneValue(graph)) {
    const attention = packing(products, readers);
    const ordered = attention ? attention.operands : products;
    const columns = ordered.map((p) => p.columns);
    const [one] = products;
    if (!one || (!attention && one.rows * columns.reduce((a, b) => a + b) < worthASplit)) continue;
    const first = one.node;
    const name = `${first.outputs[0]}/merged`;
    const merged = joined(ordered, name);
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
    for (const product of products) {
      instead.set(product.node, product.node === first ? merged : []);
      for (const maker of product.makers) makers.add(maker);
    }
  }
  // What makes the matrices comes first, for they are read sooner than they were.
  const nodes = [...makers, ...graph.nodes.filter((n) => !makers.has(n)).flatMap((n) => instead.get(n) ?? [n])];
  return { ...graph, initializers, nodes };
}

/** One product with all their columns, and what joins its matrices. */
function joined(products: readonly Product[], name: string): Node[] {
  const [{ node, axis }] = products as [Product];
  const [x = "", ...matrices] = node.inputs;
  const parts = matrices.map((_, i) =>
    make(
      "Concat",
      products.map((p) => p.node.inputs[i + 1] as string),
      [i === 0 ? `${name}/weights` : `${name}/weights/${i}`],
      { axis: attr.int(axis) },
    ),
  );
  const columns = products.reduce((n, p) => n + p.columns, 0);
  const attributes = node.attributes["N"] ? { ...node.attributes, N: attr.int(columns) } : node.attributes;
  const operands = [x, ...parts.map((p) => p.outputs[0] as string)];
  return [...parts, { ...make(node.opType, operands, [name], attributes), domain: node.domain }];
}

/** Makes a matrix of a stored one. */
const isMaker = (node: Node): boolean =>
  node.domain === "" && (node.opType === "Cast" || (node.opType === "Transpose" && (attr.intsOf(node, "perm") ?? [1, 0]).join() === "1,0"));

/** Columns that products of codes sum together: where one begins at a multiple of so many, its result keeps its bits. */
const columnsTogether = 16;

/** A product of codes that are stored, with scales and at most zero points, each by output first. */
const isPlain = (graph: Graph, node: Node): boolean =>
  attr.intOf(node, "N", 0) % columnsTogether === 0 &&
  node.inputs.length <= 4 &&
  node.inputs.slice(1).every((name) => (graph.initializers.get(name)?.dims.length ?? 0) >= 2);

/** Two or more each, in the graph's order, of matrices of one type. */
function productsOfOneValue(graph: Graph): readonly (readonly Product[])[] {
  const made = producers(graph);
  const groups = new Map<string, Product[]>();
  for (const node of graph.nodes) {
    const [x = "", weight = ""] = node.inputs;
    if (node.opType === "MatMulNBits" && isPlain(graph, node)) {
      const [rows, columns] = [attr.intOf(node, "K", 0), attr.intOf(node, "N", 0)];
      const own = ["bits", "block_size", "accuracy_level"].map((name) => attr.intOf(node, name, 0));
      const key = `${own} ${node.inputs.length} ${x}`;
      groups.set(key, [...(groups.get(key) ?? []), { node, rows, columns, makers: [], axis: 0 }]);
    }
    if (node.opType !== "MatMul" || node.domain !== "") continue;
    const makers: Node[] = [];
    let source = weight;
    for (let maker = made.get(source); maker && isMaker(maker); maker = made.get(source)) {
      makers.unshift(maker);
      source = maker.inputs[0] as string;
    }
    const stored = graph.initializers.get(source);
    if (stored?.dims.length !== 2) continue;
    const turns = makers.filter((m) => m.opType === "Transpose").length;
    const [rows, columns] = (turns % 2 === 0 ? stored.dims : [...stored.dims].reverse()) as [number, number];
    const cast = makers.find((m) => m.opType === "Cast");
    const key = `${stored.dataType} ${cast ? attr.intOf(cast, "to", 0) : ""} ${x}`;
    groups.set(key, [...(groups.get(key) ?? []), { node, rows, columns, makers, axis: 1 }]);
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
