import type { Graph, Node } from "../onnx/ir.ts";
import { operatorOf } from "../operators/operators.ts";

const unfused = (node: Node) => operatorOf(node)?.unfused?.(node);

/** The graph with every residual addition in the open; the same graph if none was hidden. */
export function unfuseSums(graph: Graph): Graph {
  if (!graph.nodes.some(unfused)) return graph;
  return { ...graph, nodes: graph.nodes.flatMap((n) => unfused(n) ?? [n]) };
}
