import { consumers, producers } from "../onnx/edit.ts";
import { dataTypes, type Graph, type Node, sizeOf, type TypedGraph } from "../onnx/ir.ts";
import { operatorOf } from "../operators/operators.ts";

/**
 * The most bytes that inner values of a graph take at a time while ONNX Runtime runs it: of values that are computed and not all read yet. Inputs, weights and
 * outputs lie elsewhere. What kernels need for themselves, and what the allocator loses, comes on top.
 *
 * A value that is another in other dims takes no memory, nor does one that is computed element by element from one that nothing else reads any more.
 */
export function liveBytes(typed: TypedGraph): number {
  const { graph, types } = typed;
  const order = runOrder(graph);
  const outputs = new Set(graph.outputs.map((o) => o.name));
  const bytes = (name: string): number => {
    const type = types.get(name);
    return type ? sizeOf(type.shape) * dataTypes[type.dataType].bytes : 0;
  };
  /** By value: whose memory it lies in. */
  const lies = new Map<string, string>();
  const lastUse = new Map<string, number>();
  const homeOf = (name: string): string => lies.get(name) ?? name;
  for (const [at, node] of order.entries()) {
    const [input = ""] = node.inputs;
    for (const output of node.outputs) if (output !== "") lies.set(output, isView(node) ? homeOf(input) : output);
    for (const name of [...node.inputs, ...node.outputs]) if (name !== "") lastUse.set(homeOf(name), at);
  }
  const ends = order.map((): string[] => []);
  for (const [name, at] of lastUse) ends[at]?.push(name);
  const made = producers(graph);
  const counts = (name: string): boolean => homeOf(name) === name && made.has(name) && !outputs.has(name);
  let [live, most] = [0, 0];
  for (const [at, node] of order.entries()) {
    const dying = new Set(ends[at]);
    for (const output of node.outputs) {
      if (output === "" || !counts(output)) continue;
      const reused = operatorOf(node)?.inPlace
        ? node.inputs.find((i) => i !== "" && dying.has(homeOf(i)) && counts(homeOf(i)) && bytes(homeOf(i)) === bytes(output))
        : undefined;
      if (reused !== undefined) {
        // The memory goes on under another name.
        dying.delete(homeOf(reused));
        continue;
      }
      live += bytes(output);
    }
    most = Math.max(most, live);
    for (const name of dying) if (counts(name)) live -= bytes(name);
  }
  return most;
}

/** Whether its result is what it reads, in other dims. */
function isView(node: Node): boolean {
  const moves = operatorOf(node)?.moves;
  return moves !== undefined && moves.steps === null && !moves.converts;
}

/**
 * The order in which ONNX Runtime runs a graph: depth first from the nodes that nothing reads, the last of them first, and of what a node reads the later
 * node first.
 */
function runOrder(graph: Graph): Node[] {
  const places = new Map(graph.nodes.map((node, i) => [node, i]));
  const made = producers(graph);
  const readers = consumers(graph);
  const order: Node[] = [];
  const seen = new Set<Node>();
  const visit = (first: Node) => {
    const stack: { readonly node: Node; readonly pending: Node[] }[] = [];
    const enter = (node: Node) => {
      if (seen.has(node)) return;
      seen.add(node);
      const from = [...new Set(node.inputs.flatMap((i) => made.get(i) ?? []))];
      stack.push({ node, pending: from.sort((a, b) => (places.get(a) ?? 0) - (places.get(b) ?? 0)) });
    };
    enter(first);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const next = top.pending.pop();
      if (next) enter(next);
      else order.push((stack.pop() as typeof top).node);
    }
  };
  for (const node of graph.nodes.toReversed()) if (!node.outputs.some((o) => (readers.get(o)?.length ?? 0) > 0)) visit(node);
  return order;
}
