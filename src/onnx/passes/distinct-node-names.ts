import type { Node } from "../ir.ts";
import type { Pass } from "./pass.ts";

/** No two nodes have one name, which ONNX Runtime refuses: of several the first keeps it. */
export const distinctNodeNames: Pass = (model) => {
  const given = new Set(model.graph.nodes.map((n) => n.name));
  if (given.size === model.graph.nodes.length) return model;
  const next = new Map<string, number>();
  const nodes = model.graph.nodes.map((node): Node => {
    let i = next.get(node.name) ?? 0;
    let { name } = node;
    if (i > 0) while (given.has(name)) name = `${node.name}_${i++}`;
    next.set(node.name, Math.max(i, 1));
    return name === node.name ? node : { ...node, name };
  });
  return { ...model, graph: { ...model.graph, nodes } };
};
