import { usesOf } from "../onnx/edit.ts";
import { type Graph, isFloat, type Node, operatorKey, type Tensor } from "../onnx/ir.ts";
import { operatorOf } from "../operators/operators.ts";

export interface UnsupportedOperator {
  /** Operator key, e.g. `MatMul` or `com.microsoft::Attention`. */
  readonly operator: string;
  /** Names of its nodes on the way, in graph order. */
  readonly nodes: readonly string[];
}

/** Float vectors and whatever is a matrix: quantised weights count, so that what reads them is named. */
const mayBeTrained = (t: Tensor): boolean => t.dims.length >= (isFloat(t.dataType) ? 1 : 2);

/**
 * The operators with neither a gradient rule nor a lowering on the way from the weights to an output. Works on a graph as
 * stored, whose types need not be known. Empty means: gradients can be had.
 */
export function unsupportedOperators(graph: Graph, output: string): UnsupportedOperator[] {
  const gradientOf = (node: Node) => operatorOf(node)?.gradient ?? "unknown";
  const reached = new Set([...graph.initializers.values()].filter(mayBeTrained).map((t) => t.name));
  const carrying = graph.nodes.filter((node) => {
    if (gradientOf(node) === "none" || !usesOf(node).some((i) => reached.has(i))) return false;
    for (const name of node.outputs) reached.add(name);
    return true;
  });

  const needed = new Set([output]);
  const found = new Map<string, string[]>();
  for (const node of carrying.reverse()) {
    if (!node.outputs.some((o) => needed.has(o))) continue;
    for (const name of usesOf(node)) needed.add(name);
    const operator = operatorKey(node);
    if (gradientOf(node) === "unknown") found.set(operator, [node.name, ...(found.get(operator) ?? [])]);
  }
  return [...found].map(([operator, nodes]) => ({ operator, nodes })).sort((a, b) => a.operator.localeCompare(b.operator));
}
