import { removeDead, renameValues, usesOf } from "../edit.ts";
import { type Graph, type Node, operatorKey, type Tensor } from "../ir.ts";
import type { Pass } from "./pass.ts";

/** The input by which a decoder for both is told whether there is a cache (Optimum's name for it). */
export const cacheFlag = "use_cache_branch";

/** Operators that hand a flag on. */
const handingOn: ReadonlySet<string> = new Set(["Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze"]);

/**
 * A decoder that was merged of two, one that reads a cache and one that does not, becomes the first of them: fed an empty
 * cache it does what the other does. Its branch takes the place of the If, and the flag is an input no more.
 */
export const takeCacheBranch: Pass = (model) => {
  const { graph } = model;
  const flags = new Set(graph.inputs.filter((i) => i.name === cacheFlag && i.dataType === "bool").map((i) => i.name));
  if (flags.size === 0) return model;
  const initializers = new Map<string, Tensor>(graph.initializers);
  const taken = new Set([...initializers.keys(), ...graph.inputs.map((i) => i.name), ...graph.nodes.flatMap((n) => n.outputs)]);
  const nodes = graph.nodes.flatMap((node) => {
    const [first = ""] = node.inputs;
    if (flags.has(first) && handingOn.has(operatorKey(node))) for (const o of node.outputs) flags.add(o);
    const branch = flags.has(first) && operatorKey(node) === "If" ? branchWithCache(node, graph) : null;
    if (!branch) return [node];
    const own = withOutputs(branch, node.outputs, taken);
    for (const [name, tensor] of own.initializers) initializers.set(name, tensor);
    return own.nodes;
  });
  const whole = removeDead({ ...graph, nodes, initializers });
  const used = new Set(whole.nodes.flatMap(usesOf));
  return { ...model, graph: { ...whole, inputs: whole.inputs.filter((i) => !flags.has(i.name) || used.has(i.name)) } };
};

/** Of two branches the one that reads more of the graph's inputs; of equals the first, which a true flag means. */
function branchWithCache(node: Node, graph: Graph): Graph | null {
  const inputs = new Set(graph.inputs.map((i) => i.name));
  const branches = ["then_branch", "else_branch"].flatMap((name) => {
    const a = node.attributes[name];
    if (a?.kind !== "graph") return [];
    const reads = new Set(usesOf({ ...node, inputs: [], attributes: { [name]: a } }).filter((use) => inputs.has(use)));
    return [{ body: a.value, reads: reads.size }];
  });
  return branches.sort((a, b) => b.reads - a.reads)[0]?.body ?? null;
}

/** A branch whose outputs have the names of its If's, and whose own values have names of their own: they now share the graph's. */
function withOutputs(branch: Graph, outputs: readonly string[], taken: Set<string>): Pick<Graph, "nodes" | "initializers"> {
  const names = new Map<string, string>();
  const made = new Set(branch.nodes.flatMap((n) => n.outputs));
  const repeated: Node[] = [];
  for (const [i, { name }] of branch.outputs.entries()) {
    const output = outputs[i] ?? "";
    if (output === "") continue;
    if (made.has(name) && !names.has(name)) names.set(name, output);
    // A value from elsewhere, or one that is given twice.
    else repeated.push({ name: `${output}/Identity`, opType: "Identity", domain: "", inputs: [name], outputs: [output], attributes: {} });
  }
  for (const name of [...branch.initializers.keys(), ...made]) {
    if (name === "" || names.has(name)) continue;
    let free = name;
    while (taken.has(free)) free = `${free}'`;
    taken.add(free);
    if (free !== name) names.set(name, free);
  }
  const { nodes, initializers } = renameValues({ ...branch, nodes: [...branch.nodes] }, names);
  const given = repeated.map((n) => ({ ...n, inputs: n.inputs.map((i) => names.get(i) ?? i) }));
  return { nodes: [...nodes, ...given], initializers };
}
