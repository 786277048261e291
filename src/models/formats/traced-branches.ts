import { type Node, operatorKey } from "../../onnx/ir.ts";
import { isProduct, operatorOf } from "../../operators/operators.ts";
import type { Branch } from "../../structures/branches.ts";
import type { Role } from "../blueprints/places.ts";
import type { Product, Read, TracedGraph, VectorUse } from "./traced-graph.ts";

/** What does what in a branch, told from how its values flow. */
export interface TracedBranch {
  readonly products: ReadonlyMap<Role, Product>;
  readonly norms: ReadonlyMap<Role, { readonly weight: Read | null; readonly bias: Read | null }>;
}

/** Null where the branch has another form than attentions and MLPs of the families have. */
export const tracedBranch = (graph: TracedGraph, branch: Branch): TracedBranch | null =>
  branch.kind === "ATTENTION" ? tracedAttention(graph, branch) : tracedMlp(graph, branch);

/** A norm's scale and shift may be applied by two nodes. */
function merged(uses: readonly VectorUse[]): { weight: Read | null; bias: Read | null } | null {
  if (uses.length === 0) return null;
  return {
    weight: uses.map((u) => u.weight).find((w) => w !== null) ?? null,
    bias: uses.map((u) => u.bias).find((b) => b !== null) ?? null,
  };
}

/** The norm among some nodes, but for what is a bias of a product. */
function normIn(graph: TracedGraph, nodes: readonly Node[], biases: ReadonlySet<string>) {
  const uses = nodes.flatMap((node) => graph.vectors(node) ?? []);
  return merged(
    uses
      .map((use) => (use.bias && biases.has(use.bias.tensor.name) ? { ...use, bias: null } : use))
      .filter((use) => use.weight ?? use.bias),
  );
}

/** What every branch has: one product that gives what is added, and those that read the residual stream; norms before and after. */
function outline(graph: TracedGraph, { nodes, output }: Branch) {
  const products = [...nodes].flatMap((node) => graph.product(node) ?? []);
  const last = graph.behind(output, nodes);
  const [down] = last.products;
  if (!down || last.products.length !== 1) return null;
  const inputs = products.filter((p) => p !== down && p.node !== down.node);
  const first = inputs.map((p) => graph.behind(p.input, nodes));
  // A product of products is no projection of the stream.
  if (inputs.length === 0 || first.some((each) => each.products.length > 0)) return null;
  const biases = new Set(products.flatMap(({ bias }) => bias?.tensor.name ?? []));
  const before = normIn(graph, [...new Set(first.flatMap(({ between }) => between))], biases);
  const after = normIn(graph, last.between, biases);
  const norms = new Map<Role, { weight: Read | null; bias: Read | null }>();
  if (before) norms.set("before", before);
  if (after) norms.set("after", after);
  return { down, inputs, norms, biases };
}

function tracedAttention(graph: TracedGraph, branch: Branch): TracedBranch | null {
  const found = outline(graph, branch);
  if (!found) return null;
  const { down, inputs, norms, biases } = found;
  const operands = operandsOf(graph, branch);
  const products = new Map<Role, Product>([["output", down]]);
  if (inputs.length === 1) products.set("qkv", inputs[0] as Product);
  else if (!operands) return null;
  if (operands)
    for (const [role, normRole, value] of [
      ["q", "qNorm", operands.q],
      ["k", "kNorm", operands.k],
      ["v", null, operands.v],
    ] as const) {
      const behind = graph.behind(value, branch.nodes);
      const [product] = behind.products;
      if (inputs.length > 1) {
        if (!product || behind.products.length !== 1) return null;
        products.set(role, product);
      }
      const norm = normRole && normIn(graph, behind.between, biases);
      if (norm && normRole) norms.set(normRole, norm);
    }
  if (inputs.length > 1 && new Set([...products.values()].map((p) => p.node)).size !== 4) return null;
  return { products, norms };
}

/** The values that queries, keys and values are when tokens meet. */
function operandsOf(graph: TracedGraph, { nodes }: Branch): { q: string; k: string; v: string } | null {
  const { stream } = graph.flow;
  for (const node of graph.graph.nodes) {
    if (!nodes.has(node)) continue;
    if (operatorOf(node)?.mixesTokens === "attention") {
      const [q = "", k = "", v = ""] = node.inputs;
      return k === "" || !stream.has(k) ? null : { q, k, v: v === "" ? k : v };
    }
  }
  const mixing = graph.graph.nodes.filter((n) => nodes.has(n) && isProduct(n) && n.inputs.slice(0, 2).every((i) => stream.has(i)));
  const [scores, mix] = mixing;
  if (!scores || !mix || mixing.length !== 2) return null;
  const [q = "", k = ""] = scores.inputs;
  // What the scores are made of is not what they are multiplied with.
  const v = mix.inputs.slice(0, 2).find((input) => !graph.isBehind(input, scores, nodes));
  return v === undefined ? null : { q, k, v };
}

/** Nodes that leave what they are given as it is, or add a bias. */
const plain = (node: Node): boolean => {
  const key = operatorKey(node);
  return key === "Add" || key === "Cast" || key === "Identity" || operatorOf(node)?.moves !== undefined;
};

function tracedMlp(graph: TracedGraph, branch: Branch): TracedBranch | null {
  const found = outline(graph, branch);
  if (!found) return null;
  const { down, inputs, norms } = found;
  const products = new Map<Role, Product>([["down", down]]);
  const [first, second, third] = inputs;
  if (third || !first) return null;
  if (!second) {
    // One matrix: a plain MLP's, or gate and up together, of which each is half as wide as what it gives.
    const width = down.weight.turned ? down.weight.tensor.dims[1] : down.weight.tensor.dims[0];
    const given = first.weight.turned ? first.weight.tensor.dims[0] : first.weight.tensor.dims[1];
    products.set(given === width ? "up" : "gateUp", first);
    return { products, norms };
  }
  const joint = graph.graph.nodes.find((node) => {
    if (!branch.nodes.has(node) || node.opType !== "Mul") return false;
    const sides = node.inputs.map((input) => new Set(graph.behind(input, branch.nodes).products.map((p) => p.node)));
    return (
      sides.length === 2 && sides.every((side) => side.size === 1) && [...(sides[0] as Set<Node>)][0] !== [...(sides[1] as Set<Node>)][0]
    );
  });
  if (!joint) return null;
  const sides = joint.inputs.map((input) => graph.behind(input, branch.nodes));
  const straight = sides.map(({ between }) => between.every(plain));
  if (straight[0] === straight[1]) return null;
  const [up, gate] = straight[0] ? sides : [sides[1], sides[0]];
  products.set("up", up?.products[0] as Product);
  products.set("gate", gate?.products[0] as Product);
  return { products, norms };
}
