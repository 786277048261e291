import type { Graph, Node, ValueInfo } from "./ir.ts";

/** Names a node reads: its inputs, and what the bodies of its control-flow attributes take from around them. */
export function usesOf(node: Node): string[] {
  const uses = node.inputs.filter((name) => name !== "");
  for (const attribute of Object.values(node.attributes))
    if (attribute.kind === "graph") for (const name of captures(attribute.value)) uses.push(name);
  return uses;
}

function captures(graph: Graph): string[] {
  const own = new Set([...graph.inputs.map((v) => v.name), ...graph.initializers.keys(), ...graph.nodes.flatMap((n) => n.outputs)]);
  const used = [...graph.nodes.flatMap(usesOf), ...graph.outputs.map((v) => v.name)];
  return used.filter((name) => !own.has(name));
}

/** The node that makes each value. */
export function producers(graph: Graph): Map<string, Node> {
  return new Map(graph.nodes.flatMap((node) => node.outputs.filter((o) => o !== "").map((o) => [o, node] as const)));
}

/** The nodes that read each value, in graph order. */
export function consumers(graph: Graph): Map<string, Node[]> {
  const map = new Map<string, Node[]>();
  for (const node of graph.nodes)
    for (const name of new Set(usesOf(node))) {
      const list = map.get(name);
      if (list) list.push(node);
      else map.set(name, [node]);
    }
  return map;
}

/**
 * What the outputs need and nothing else: nodes, initializers and stated types behind no output go.
 * Inputs stay as they are declared, for they are the graph's signature.
 */
export function removeDead(graph: Graph): Graph {
  const made = producers(graph);
  const live = new Set<string>();
  const kept = new Set<Node>();
  const stack = graph.outputs.map((o) => o.name);
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    if (live.has(name)) continue;
    live.add(name);
    const node = made.get(name);
    if (!node || kept.has(node)) continue;
    kept.add(node);
    for (const use of usesOf(node)) stack.push(use);
  }
  return {
    ...graph,
    nodes: graph.nodes.filter((n) => kept.has(n)),
    initializers: new Map([...graph.initializers].filter(([name]) => live.has(name))),
    valueInfo: graph.valueInfo.filter((v) => live.has(v.name)),
  };
}

/** Drops inputs that no node reads and no output repeats. */
export function removeUnusedInputs(graph: Graph): Graph {
  const used = new Set([...graph.nodes.flatMap(usesOf), ...graph.outputs.map((o) => o.name)]);
  return { ...graph, inputs: graph.inputs.filter((i) => used.has(i.name)) };
}

/** Orders nodes depth-first from the outputs, first output first: each node as late as its first reader allows. */
export function sortFromOutputs(graph: Graph): Graph {
  const made = producers(graph);
  const done = new Set<Node>();
  const nodes: Node[] = [];
  const stack: { node: Node; pending: string[] }[] = [];
  const enter = (name: string) => {
    const node = made.get(name);
    if (!node || done.has(node)) return;
    done.add(node);
    stack.push({ node, pending: usesOf(node).reverse() });
  };
  for (const output of graph.outputs) {
    enter(output.name);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const next = top.pending.pop();
      if (next !== undefined) enter(next);
      else nodes.push((stack.pop() as typeof top).node);
    }
  }
  return { ...graph, nodes };
}

/**
 * What is computed of weights alone comes first, the rest in its order. Of two nodes that one reads ONNX Runtime runs the later
 * first, with all that leads to it: weights that are turned are then turned when they are needed, and not all at the start.
 */
export function constantsFirst(graph: Graph): Graph {
  const fed = new Set(graph.inputs.map((i) => i.name));
  const isFed = graph.nodes.map((node) => {
    const reads = usesOf(node).some((name) => fed.has(name));
    if (reads) for (const o of node.outputs) fed.add(o);
    return reads;
  });
  return { ...graph, nodes: [...graph.nodes.filter((_, i) => !isFed[i]), ...graph.nodes.filter((_, i) => isFed[i])] };
}

/** Reads `to` wherever `from` was read, inside nodes; the definition of `from` stays. Outputs keep their names. */
export function replaceUses(graph: Graph, replacement: ReadonlyMap<string, string>): Graph {
  if (replacement.size === 0) return graph;
  const swap = (name: string) => replacement.get(name) ?? name;
  return { ...graph, nodes: graph.nodes.map((n) => (usesOf(n).some((u) => replacement.has(u)) ? mapUses(n, swap) : n)) };
}

function mapUses(node: Node, swap: (name: string) => string): Node {
  const attributes = Object.fromEntries(
    Object.entries(node.attributes).map(([key, a]) => {
      if (a.kind !== "graph") return [key, a];
      const free = new Set(captures(a.value));
      const inner = (name: string) => (free.has(name) ? swap(name) : name);
      return [key, { ...a, value: { ...a.value, nodes: a.value.nodes.map((n) => mapUses(n, inner)) } }];
    }),
  );
  return { ...node, inputs: node.inputs.map(swap), attributes };
}

/** Renames values everywhere: definitions, uses, inputs, outputs, initializers. */
export function renameValues(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  if (names.size === 0) return graph;
  const rename = (name: string) => names.get(name) ?? name;
  const info = (v: ValueInfo): ValueInfo => ({ ...v, name: rename(v.name) });
  return {
    ...graph,
    inputs: graph.inputs.map(info),
    outputs: graph.outputs.map(info),
    valueInfo: graph.valueInfo.map(info),
    initializers: new Map([...graph.initializers].map(([name, t]) => [rename(name), { ...t, name: rename(name) }])),
    nodes: graph.nodes.map((n) => ({ ...mapUses(n, rename), outputs: n.outputs.map(rename) })),
  };
}
