import { type Product, productsOf } from "../autodiff/products.ts";
import { floatOf, intOf } from "../onnx/attributes.ts";
import { consumers, producers } from "../onnx/edit.ts";
import { isFloat, type Model, type Node, operatorKey, sizeAt, type Tensor, type TypedGraph } from "../onnx/ir.ts";
import { operatorOf } from "../operators/operators.ts";
import type { Discovery } from "../structures/discover.ts";
import { codedBy } from "./codes.ts";
import type { CompressionOptions } from "./options.ts";

/** A matrix that is compressed. */
export interface Target {
  /** Its name, which a matrix that is table and head at once has in both. */
  readonly parameter: string;
  readonly tensor: Tensor;
  /** The axis along which its inputs lie: those of a product, or the columns of a table. */
  readonly axis: number;
  /** The node that reads it. */
  readonly node: Node;
  /** Of a table that is the head too: the product that gives logits. It takes the same codes. */
  readonly head: Node | null;
  /** The layer that it lies in, from 0; null before and after all. */
  readonly layer: number | null;
}

/** What is compressed in one step: a table of embeddings, or all products that are given the same value. */
export interface Step {
  /** What is given, by name in the graph of a batch; null of a table, which is looked up in. */
  readonly input: string | null;
  readonly targets: readonly Target[];
}

export interface Targets {
  /** In the order of the graph. */
  readonly steps: readonly Step[];
  readonly left: readonly { readonly parameter: string; readonly reason: string }[];
}

/** The name that the head has for a matrix which the table of embeddings is too. */
export const headOf = (parameter: string): string => `${parameter}/head`;

/** @returns the tables that tokens are looked up in, stored as they are or in another type, with the node that does */
function tablesOf({ graph }: Model, stream: ReadonlySet<string>): ReadonlyMap<string, Node> {
  const made = producers(graph);
  const lookups = graph.nodes.filter((n) => operatorKey(n) === "Gather" && intOf(n, "axis", 0) === 0 && stream.has(n.inputs[1] ?? ""));
  return new Map(
    lookups.flatMap((n) => {
      const [data = ""] = n.inputs;
      const cast = made.get(data);
      const name = cast?.opType === "Cast" ? (cast.inputs[0] ?? "") : data;
      return isMatrix(graph.initializers.get(name)) ? [[name, n] as const] : [];
    }),
  );
}

const isMatrix = (t: Tensor | undefined): boolean => t?.dims.length === 2 && isFloat(t.dataType);

/**
 * A model in which a table of embeddings that is the head too stands twice, over the same bytes: so each is read in one way.
 *
 * @param stream values that depend on the tokens
 */
export function untied(model: Model, stream: ReadonlySet<string>): Model {
  const { graph } = model;
  const readers = consumers(graph);
  const initializers = new Map(graph.initializers);
  const instead = new Map<Node, string>();
  for (const [parameter, table] of tablesOf(model, stream)) {
    const others = (readers.get(parameter) ?? []).filter((n) => n !== table);
    if (others.length === 0) continue;
    initializers.set(headOf(parameter), { ...(initializers.get(parameter) as Tensor), name: headOf(parameter) });
    for (const node of others) instead.set(node, parameter);
  }
  if (instead.size === 0) return model;
  const renamed = (node: Node): Node => {
    const parameter = instead.get(node);
    if (parameter === undefined) return node;
    return { ...node, inputs: node.inputs.map((name) => (name === parameter ? headOf(parameter) : name)) };
  };
  return { ...model, graph: { ...graph, initializers, nodes: graph.nodes.map(renamed) } };
}

/**
 * What of a model is compressed, in the order of its graph, and what is left as it is.
 *
 * @param model as it was untied
 * @param typed the same, for a batch of texts
 */
export function targetsOf(
  model: Model,
  typed: TypedGraph,
  { anatomy, structures }: Pick<Discovery, "anatomy" | "structures">,
  options: CompressionOptions,
): Targets {
  const { graph } = model;
  const layerOf = new Map(structures.filter((s) => s.kind === "LAYER").flatMap((s) => s.parameters.map((p) => [p, s.layer] as const)));
  const codes = codedBy(options);
  const tables = tablesOf(model, anatomy.flow.stream);
  const parameters = [...graph.initializers.values()].filter((t) => isMatrix(t) && !tables.has(t.name)).map((t) => t.name);
  const readers = consumers(graph);
  const left: { parameter: string; reason: string }[] = [];
  const byInput = new Map<string, Target[]>();
  const found = productsOf(typed, parameters);
  const order = new Map(typed.graph.nodes.map((n, i) => [n, i]));
  const placeOf = ({ node }: Product) => order.get(node) ?? 0;
  const inOrder = [...found].sort(([, a], [, b]) => placeOf(a) - placeOf(b));
  for (const [parameter, { input, axis }] of inOrder) {
    const tensor = graph.initializers.get(parameter) as Tensor;
    const layer = layerOf.get(parameter) ?? null;
    if (layer === null && !(codes.outside && options.head)) continue;
    const node = readerOf(readers, parameter);
    const reason = obstacleOf(node, codes.within);
    if (node && reason === null) {
      const target = { parameter, tensor, axis, node, head: null, layer };
      byInput.set(input, [...(byInput.get(input) ?? []), target]);
    } else left.push({ parameter, reason: reason ?? "" });
  }
  for (const [parameter, layer] of layerOf)
    if (isMatrix(graph.initializers.get(parameter)) && !found.has(parameter))
      left.push({ parameter, reason: `no product reads it alone (layer ${layer})` });
  const products = [...byInput].map(([input, targets]): Step => ({ input, targets }));
  if (!codes.outside || !options.embedding) return { steps: products, left };
  const ofTables = [...tables].map(([parameter, node]): Step => {
    const tensor = graph.initializers.get(parameter) as Tensor;
    const head = products.flatMap((s) => s.targets).find((t) => t.parameter === headOf(parameter) && t.axis === 1)?.node ?? null;
    return { input: null, targets: [{ parameter, tensor, axis: 1, node, head, layer: null }] };
  });
  const tied = new Set(ofTables.flatMap((s) => s.targets.map((t) => t.head)));
  const others = products.map((s) => ({ ...s, targets: s.targets.filter((t) => !tied.has(t.node)) }));
  return { steps: [...ofTables, ...others.filter((s) => s.targets.length > 0)], left };
}

/** The one node that a matrix is an operand of, as it is stored, turned or in another type; null if there is none. */
function readerOf(readers: ReadonlyMap<string, readonly Node[]>, parameter: string): Node | null {
  for (let name = parameter; ; ) {
    const [node, ...others] = readers.get(name) ?? [];
    if (!node || others.length > 0) return null;
    if (node.inputs[1] === name) return node;
    if (!operatorOf(node)?.moves || node.inputs[0] !== name) return null;
    name = node.outputs[0] as string;
  }
}

/** What keeps a product's matrix from becoming codes, or other weights; null if nothing does. */
function obstacleOf(node: Node | null, asCodes: boolean): string | null {
  if (!node) return "it is read in more than one way";
  if (operatorOf(node)?.weights !== "product") return `${operatorKey(node)} is no plain product`;
  if (!asCodes) return null;
  const key = operatorKey(node);
  if (key === "MatMul") return null;
  if (key !== "Gemm") return `there is no ${key} of codes`;
  const isPlain = floatOf(node, "alpha", 1) === 1 && floatOf(node, "beta", 1) === 1 && intOf(node, "transA", 0) === 0;
  return isPlain ? null : "it is a Gemm that scales or turns what it is given";
}

/** [inputs, outputs] of a target's matrix. */
export const shapeOf = ({ tensor, axis }: Target): readonly [inputs: number, outputs: number] => [
  sizeAt(tensor.dims, axis),
  sizeAt(tensor.dims, 1 - axis),
];
