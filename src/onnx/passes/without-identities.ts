import { replaceUses } from "../edit.ts";
import { operatorKey } from "../ir.ts";
import type { Pass } from "./pass.ts";

/** Whoever reads what an Identity gives reads what it takes. One that gives an output of the graph stays. Nodes are in order. */
export const withoutIdentities: Pass = (model) => {
  const { graph } = model;
  const bodies = graph.nodes.filter((n) => Object.values(n.attributes).some((a) => a.kind === "graph"));
  if (bodies.length > 0) return model;
  const given = new Set(graph.outputs.map((o) => o.name));
  const alias = new Map<string, string>();
  const nodes = graph.nodes.filter((node) => {
    const [input = ""] = node.inputs;
    const [output = ""] = node.outputs;
    if (operatorKey(node) !== "Identity" || given.has(output) || input === "") return true;
    alias.set(output, alias.get(input) ?? input);
    return false;
  });
  return alias.size === 0 ? model : { ...model, graph: replaceUses({ ...graph, nodes }, alias) };
};
