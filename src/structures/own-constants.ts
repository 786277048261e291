import { usesOf } from "../onnx/edit.ts";
import { type Graph, type Node, sizeOf, type Tensor } from "../onnx/ir.ts";

/** A graph in which nobody shares what does not depend on the text, and what each copy is a copy of. */
export interface Unshared {
  readonly graph: Graph;
  readonly copies: ReadonlyMap<string, string>;
}

/**
 * Gives each branch its own copy of the masks, slopes and positions that several share, so that an axis of one branch is not
 * tied to another's through them. Trained weights stay shared, and so do single numbers.
 *
 * @param ownerOf by the outputs of a node that depends on the text: the name of the branch it is in, or null
 */
export function withOwnConstants(graph: Graph, weights: ReadonlySet<string>, ownerOf: ReadonlyMap<string, string | null>): Unshared {
  const users = new Map<string, Set<string | null>>();
  const use = (name: string, by: Iterable<string | null>) => {
    const known = users.get(name) ?? new Set();
    for (const user of by) known.add(user);
    users.set(name, known);
  };
  const owner = (node: Node) => node.outputs.map((o) => ownerOf.get(o)).find((o) => o !== undefined);
  for (const { name } of graph.outputs) use(name, [null]);
  for (const node of [...graph.nodes].reverse()) {
    const own = owner(node);
    const by = own === undefined ? node.outputs.flatMap((o) => [...(users.get(o) ?? [])]) : [own];
    for (const name of usesOf(node)) use(name, by);
  }

  const copies = new Map<string, string>();
  const taken = new Set([...graph.initializers.keys(), ...graph.nodes.flatMap((n) => n.outputs)]);
  const names = new Map<string, string>();
  const copyOf = (name: string, branch: string | null) => names.get(`${branch}\n${name}`) ?? name;
  const copied = (name: string): string[] => {
    const all = [...(users.get(name) ?? [])];
    return all.length > 1 ? all.filter((u) => u !== null) : [];
  };
  const copy = (name: string, branch: string): string => {
    let own = `${name}/of/${branch}`;
    while (taken.has(own)) own = `${own}'`;
    taken.add(own);
    names.set(`${branch}\n${name}`, own);
    copies.set(own, name);
    return own;
  };

  const initializers = new Map(graph.initializers);
  for (const tensor of graph.initializers.values())
    if (!weights.has(tensor.name) && sizeOf(tensor.dims) > 1)
      for (const branch of copied(tensor.name)) {
        const name = copy(tensor.name, branch);
        initializers.set(name, { ...tensor, name });
      }
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const own = owner(node);
    if (own !== undefined) return [renamed(node, (name) => copyOf(name, own))];
    const branches = [...new Set(node.outputs.flatMap(copied))];
    const single = branches.length === 0 ? [...new Set(node.outputs.flatMap((o) => [...(users.get(o) ?? [])]))] : [null];
    return [
      renamed(node, (name) => copyOf(name, single[0] ?? null)),
      ...branches.map((branch) => {
        const outputs = node.outputs.map((o) => (o === "" ? "" : copy(o, branch)));
        return { ...renamed(node, (name) => copyOf(name, branch)), name: outputs[0] as string, outputs };
      }),
    ];
  });
  return { graph: { ...graph, initializers, nodes }, copies };
}

function renamed(node: Node, name: (of: string) => string): Node {
  return node.inputs.every((i) => name(i) === i) ? node : { ...node, inputs: node.inputs.map(name) };
}

/** Drops the copies that are still what they are copies of. */
export function shareAgain({ graph, copies }: Unshared): Graph {
  const shared = new Map<string, string>();
  const original = (name: string) => shared.get(name) ?? name;
  const initializers = new Map<string, Tensor>();
  for (const [name, tensor] of graph.initializers) {
    const of = copies.get(name);
    if (of !== undefined && graph.initializers.get(of)?.data === tensor.data) shared.set(name, of);
    else initializers.set(name, tensor);
  }
  const made = new Map<string, Node>();
  const nodes = graph.nodes.flatMap((before): Node[] => {
    const node = renamed(before, original);
    const of = made.get(copies.get(node.outputs[0] ?? "") ?? "");
    if (of && of.attributes === node.attributes && of.inputs.every((name, i) => name === node.inputs[i])) {
      for (const [i, o] of node.outputs.entries()) shared.set(o, of.outputs[i] as string);
      return [];
    }
    for (const o of node.outputs) made.set(o, node);
    return [node];
  });
  return { ...graph, initializers, nodes };
}
