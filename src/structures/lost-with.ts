import { append } from "../large-lists.ts";
import { consumers, producers, removeDead, usesOf } from "../onnx/edit.ts";
import { type Graph, type Node } from "../onnx/ir.ts";
import { operatorOf } from "../operators/operators.ts";
import type { Branch } from "./branches.ts";
import { effort } from "./effort.ts";

/**
 * Tells which values would go with branches, as removing them does, without rewriting the graph: only what dies is walked,
 * for a model has as many structures as it has parts.
 *
 * @throws EspalierError GRAPH_TOO_LARGE (effort.ts)
 */
export function lostWith(whole: Graph): (branches: readonly Branch[]) => ReadonlySet<string> {
  const graph = removeDead(whole);
  const made = producers(graph);
  const readers = consumers(graph);
  const outputs = new Set(graph.outputs.map((o) => o.name));
  const sums = graph.nodes.filter((n) => operatorOf(n)?.adds);
  const spend = effort();

  return (branches) => {
    spend(sums.length);
    const terms = new Set(branches.map((b) => b.output));
    /** One entry for each reader that a value loses. */
    const loses = branches.flatMap((b) => [...b.nodes].flatMap((n) => n.outputs.filter((o) => outputs.has(o))));
    const withoutTerm = new Set<Node>();
    for (const sum of sums) {
      if (!sum.inputs.some((i) => terms.has(i))) continue;
      const own = new Set(sum.inputs.filter((i) => terms.has(i)));
      const [name = ""] = sum.outputs;
      if (outputs.has(name)) continue;
      if (sum.inputs.every((i) => own.has(i))) terms.add(name);
      else {
        withoutTerm.add(sum);
        append(loses, own);
      }
    }

    const lost = new Set<string>();
    const left = new Map<string, number>();
    const alive = (name: string) => (left.get(name) ?? readers.get(name)?.length ?? 0) + (outputs.has(name) && !left.has(name) ? 1 : 0);
    for (let name = loses.pop(); name !== undefined; name = loses.pop()) {
      left.set(name, alive(name) - 1);
      if (left.get(name) !== 0) continue;
      lost.add(name);
      const node = made.get(name);
      if (!node?.outputs.every((o) => o === "" || lost.has(o) || alive(o) === 0)) continue;
      const uses = new Set(usesOf(node));
      spend(1 + uses.size);
      for (const use of uses) if (!(withoutTerm.has(node) && terms.has(use))) loses.push(use);
    }
    return lost;
  };
}
