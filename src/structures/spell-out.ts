import { type Graph, operatorKey } from "../onnx/ir.ts";
import { operators } from "../operators/operators.ts";

const inTheOpen = (node: Graph["nodes"][number]) => operators.get(operatorKey(node))?.inTheOpen?.(node);

/** The graph with every residual addition in the open; the same graph if none was hidden. */
export function spellOut(graph: Graph): Graph {
  if (!graph.nodes.some(inTheOpen)) return graph;
  return { ...graph, nodes: graph.nodes.flatMap((n) => inTheOpen(n) ?? [n]) };
}
