import { producers, usesOf } from "../edit.ts";
import type { Attribute, Graph, Node } from "../ir.ts";
import type { Pass } from "./pass.ts";

/** Nodes come after those whose values they read, in bodies of control flow too, and else stay in their order. */
export const sortNodes: Pass = (model) => {
  const graph = sorted(model.graph);
  return graph === model.graph ? model : { ...model, graph };
};

function sorted(graph: Graph): Graph {
  const nodes = inOrder(graph.nodes.map(sortedBodies), graph);
  return nodes.every((node, i) => node === graph.nodes[i]) ? graph : { ...graph, nodes };
}

function sortedBodies(node: Node): Node {
  let same = true;
  const entries = Object.entries(node.attributes).map(([name, a]): [string, Attribute] => {
    if (a.kind !== "graph") return [name, a];
    const value = sorted(a.value);
    same &&= value === a.value;
    return [name, { ...a, value }];
  });
  return same ? node : { ...node, attributes: Object.fromEntries(entries) };
}

/** Each node after those it needs, which come as soon as one needs them. A cycle has no order: its nodes stay as they are, for `verify` to tell. */
function inOrder(nodes: readonly Node[], graph: Graph): readonly Node[] {
  const made = producers({ ...graph, nodes });
  const place = new Map(nodes.map((node, i) => [node, i]));
  const isLate = (name: string, i: number) => {
    const maker = made.get(name);
    return maker !== undefined && (place.get(maker) ?? -1) >= i;
  };
  if (!nodes.some((node, i) => usesOf(node).some((name) => isLate(name, i)))) return nodes;
  const done = new Set<Node>();
  const order: Node[] = [];
  for (const first of nodes) {
    const stack = done.has(first) ? [] : [{ node: first, pending: usesOf(first) }];
    done.add(first);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const name = top.pending.pop();
      if (name === undefined) {
        order.push(top.node);
        stack.pop();
        continue;
      }
      const maker = made.get(name);
      if (!maker || done.has(maker)) continue;
      done.add(maker);
      stack.push({ node: maker, pending: usesOf(maker) });
    }
  }
  return order;
}
