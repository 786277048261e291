import { append } from "../large-lists.ts";
import * as attr from "../onnx/attributes.ts";
import { consumers, producers } from "../onnx/edit.ts";
import { type Graph, type Model, type Node, operatorKey } from "../onnx/ir.ts";
import { sortNodes } from "../onnx/passes/sort-nodes.ts";
import { int64Tensor, isInteger } from "../onnx/tensors.ts";
import { elementwise } from "../operators/axis-rules.ts";
import { isProduct, operatorOf } from "../operators/operators.ts";

/**
 * Experts compute the tokens that chose them alone, which is faster where they are many: the opposite of what src/onnx/passes/dense-experts.ts
 * does. A row of a product keeps its bits whichever rows stand beside it; what was zero times a number is zero still.
 *
 *     y = expert(x) * weight      becomes      y[t] = expert(x[t]) * weight[t] for the tokens t of which the weight is not zero, else 0
 *
 * @returns the model itself if it has no experts that are computed by nodes of their own
 */
export function dispatchExperts(model: Model): Model {
  const { graph } = model;
  const made = producers(graph);
  const readers = consumers(graph);
  const found = graph.nodes.flatMap((node) => expertAt(node, graph, made, readers) ?? []);
  if (found.length === 0) return model;
  const initializers = new Map(graph.initializers);
  const flat = "/experts/flat";
  const last = "/experts/last";
  initializers.set(flat, int64Tensor(flat, [1], [-1]));
  initializers.set(last, int64Tensor(last, [1], [1]));
  const nodes = [...graph.nodes];
  const replace = (node: Node, by: readonly Node[]) => nodes.splice(nodes.indexOf(node), 1, ...by);
  const blanks = new Map<string, string>();
  for (const { x, body, weight, product } of found) {
    const [output = ""] = product.outputs;
    const add = (opType: string, part: string, inputs: string[], attributes: Node["attributes"] = {}): Node => {
      const name = `${output}/${part}`;
      return { name, opType, domain: "", inputs, outputs: [name], attributes };
    };
    const own = (part: string) => `${output}/${part}`;
    let blank = blanks.get(x);
    const before: Node[] = [];
    if (blank === undefined) {
      blank = own("blank");
      blanks.set(x, blank);
      // Served graphs are of float32, which is what it gives unless told otherwise.
      before.push(add("Shape", "shape", [x]), add("ConstantOfShape", "blank", [own("shape")]));
    }
    const given = product.inputs.find((name) => name !== weight) as string;
    before.push(
      add("Reshape", "weights", [weight, flat]),
      add("NonZero", "found", [own("weights")]),
      add("Reshape", "tokens", [own("found"), flat]),
      add("Unsqueeze", "places", [own("tokens"), last]),
      add("Gather", "x", [x, own("tokens")], { axis: attr.int(0) }),
      add("Gather", "weight", [weight, own("tokens")], { axis: attr.int(0) }),
    );
    for (const node of body) replace(node, [{ ...node, inputs: node.inputs.map((name) => (name === x ? own("x") : name)) }]);
    replace(product, [
      ...before,
      { ...product, inputs: [given, own("weight")], outputs: [own("rows")] },
      {
        ...product,
        name: own("scattered"),
        opType: "ScatterND",
        inputs: [blank, own("places"), own("rows")],
        outputs: [output],
        attributes: {},
      },
    ]);
  }
  return sortNodes({ ...model, graph: { ...graph, nodes, initializers } });
}

interface Expert {
  /** What it reads of all tokens, [tokens, H]. */
  readonly x: string;
  /** The nodes that compute it. */
  readonly body: readonly Node[];
  /** Its weight by token, [tokens, 1]. */
  readonly weight: string;
  /** The product of the two. */
  readonly product: Node;
}

type Readers = ReadonlyMap<string, readonly Node[]>;
type Makers = ReadonlyMap<string, Node>;

/** The expert whose choice begins at a node: `chosen == expert`, as a number, times weights, summed up, times what it gives. */
function expertAt(node: Node, graph: Graph, made: Makers, readers: Readers): Expert | null {
  const stated = graph.initializers.get(node.inputs[1] ?? "");
  if (operatorKey(node) !== "Equal" || !stated || !isInteger(stated.dataType) || stated.dims.some((d) => d !== 1)) return null;
  const next = (from: Node | null, key: string): Node | null => {
    const own = from ? (readers.get(from.outputs[0] as string) ?? []) : [];
    return own.length === 1 && own[0] && operatorKey(own[0]) === key ? own[0] : null;
  };
  const summed = next(next(next(node, "Cast"), "Mul"), "ReduceSum");
  if (!summed || attr.intOf(summed, "keepdims", 1) !== 1) return null;
  const product = next(summed, "Mul");
  const weight = summed.outputs[0] as string;
  const given = product?.inputs.find((name) => name !== weight);
  if (!product || given === undefined) return null;
  const found = bodyOf(given, product, graph, made, readers);
  return found && { ...found, weight, product };
}

/** The nodes that compute a value of one other alone, row by row, and that nothing else reads; null if some do not. */
function bodyOf(
  value: string,
  product: Node,
  graph: Graph,
  made: Makers,
  readers: Readers,
): { readonly x: string; readonly body: readonly Node[] } | null {
  const isConstant = (name: string): boolean => {
    const node = made.get(name);
    return name === "" || graph.initializers.has(name) || (node?.inputs.every(isConstant) ?? false);
  };
  const body = new Set<Node>();
  const within = (name: string) => (readers.get(name) ?? []).every((reader) => reader === product || body.has(reader));
  const edges = new Set<string>();
  const stack = [value];
  for (let name = stack.shift(); name !== undefined; name = stack.shift()) {
    const node = made.get(name);
    if (isConstant(name)) continue;
    if (!node || !isRowWise(node, isConstant) || !node.outputs.every(within)) {
      edges.add(name);
      continue;
    }
    body.add(node);
    append(stack, node.inputs);
  }
  // What was taken for an edge before all that reads it was known may lie within.
  const inner = [...edges].filter((name) => [...body].some((n) => n.outputs.includes(name)));
  for (const name of inner) edges.delete(name);
  const [x, ...others] = edges;
  return x === undefined || others.length > 0 || body.size === 0 ? null : { x, body: [...body] };
}

/** Whether it computes each row of its only operand that is no constant from that row. */
function isRowWise(node: Node, isConstant: (name: string) => boolean): boolean {
  if (isProduct(node)) return operatorKey(node) === "MatMul" && isConstant(node.inputs[1] as string);
  if (operatorKey(node) === "Split") return attr.intOf(node, "axis", 0) === -1;
  return operatorOf(node)?.axes === elementwise;
}
