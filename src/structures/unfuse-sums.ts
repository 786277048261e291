import { type Graph, operatorKey } from "../onnx/ir.ts";
import { operators } from "../operators/operators.ts";

const unfused = (node: Graph["nodes"][number]) => operators.get(operatorKey(node))?.unfused?.(node);

/** The graph with every residual addition in the open; the same graph if none was hidden. */
export function unfuseSums(graph: Graph): Graph {
  if (!graph.nodes.some(unfused)) return graph;
  return { ...graph, nodes: graph.nodes.flatMap((n) => unfused(n) ?? [n]) };
}
