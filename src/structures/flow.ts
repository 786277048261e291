import { numberAt } from "../number-at.ts";
import { producers, usesOf } from "../onnx/edit.ts";
import type { Graph, Node } from "../onnx/ir.ts";
import { operatorOf } from "../operators/operators.ts";

/** Names from which elements flow into a node: nothing of a text flows through one that only reads a shape. */
export const dataUses = (node: Node): string[] => (operatorOf(node)?.readsShapeOnly ? [] : usesOf(node));

/** How a text flows from the tokens to the logits. */
export interface Flow {
  readonly graph: Graph;
  /** Values that depend on the tokens, wherever they lead. */
  readonly stream: ReadonlySet<string>;
  /** Nodes between the tokens and the logits, in graph order. */
  readonly path: readonly Node[];
  /**
   * The values that everything must pass: the residual stream between its branches, and what stands alone before and
   * after them (in graph theory the dominators of the logits).
   */
  readonly residualStream: ReadonlySet<string>;
}

/** Follows the data; what only reads shapes is no part of it. */
export function flowOf(graph: Graph, tokens: string, logits: string): Flow {
  const stream = new Set([tokens]);
  for (const node of graph.nodes) if (dataUses(node).some((u) => stream.has(u))) for (const o of node.outputs) stream.add(o);

  const needed = new Set([logits]);
  const path: Node[] = [];
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some((o) => needed.has(o) && stream.has(o))) continue;
    path.push(node);
    for (const u of dataUses(node)) needed.add(u);
  }
  path.reverse();
  return { graph, stream, path, residualStream: residualStreamOf(graph, path) };
}

/** A node is passed by all if no edge, in an order of the path, leads from before it to after it. */
function residualStreamOf(graph: Graph, path: readonly Node[]): Set<string> {
  const made = producers(graph);
  const position = new Map(path.map((node, i) => [node, i]));
  const lastReader = path.map((_, i) => i);
  for (const [i, node] of path.entries())
    for (const use of dataUses(node)) {
      const j = position.get(made.get(use) as Node);
      if (j !== undefined) lastReader[j] = i;
    }
  const residualStream = new Set<string>();
  let reach = 0;
  for (const [i, node] of path.entries()) {
    if (reach <= i) for (const o of node.outputs) residualStream.add(o);
    reach = Math.max(reach, numberAt(lastReader, i));
  }
  return residualStream;
}
