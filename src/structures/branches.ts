import { consumers, producers, usesOf } from "../onnx/edit.ts";
import type { Node } from "../onnx/ir.ts";
import { isProduct, operatorOf } from "../operators/operators.ts";
import { effort } from "./effort.ts";
import { dataUses, type Flow } from "./flow.ts";

/** A term that a residual addition adds to the residual stream. */
export interface Branch {
  readonly kind: "ATTENTION" | "MLP";
  /** The value added. */
  readonly output: string;
  /** The value of the residual stream it reads and is added to. */
  readonly skip: string;
  /** The value of the residual stream that comes of the addition. */
  readonly sum: string;
  /** The nodes between the two, and those that only make of theirs what the graph gives beside the logits, as a cache in another type. */
  readonly nodes: ReadonlySet<Node>;
}

/**
 * Residual branches, from the tokens on. A residual addition lies on the residual stream and adds branches to an earlier
 * value of it; several branches may be added at once (parallel attention and MLP). A branch holds at least one product
 * with weights: an activation such as `x + 0.044 x^3` is none.
 *
 * A branch is ATTENTION if tokens meet in it: in an attention operator, a convolution, or a product of two values that both
 * depend on the text. Else it is an MLP.
 */
export function residualBranches(flow: Flow): Branch[] {
  const { graph, stream, path, residualStream } = flow;
  const made = producers(graph);
  const readers = consumers(graph);
  /** The terms of a sum; a value added to itself is none. */
  const adds = (name: string): readonly string[] | null => {
    const node = made.get(name);
    return node && operatorOf(node)?.adds && node.inputs[0] !== node.inputs[1] && node.inputs.every((i) => stream.has(i))
      ? node.inputs
      : null;
  };
  /** The terms of a sum of sums, from left to right. A sum that others read as well is one term. */
  const terms = (sum: readonly string[]): string[] => {
    const found: string[] = [];
    const stack = [...sum].reverse();
    for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
      const inputs = residualStream.has(name) || readers.get(name)?.length !== 1 ? null : adds(name);
      if (inputs) stack.push(...[...inputs].reverse());
      else found.push(name);
    }
    return found;
  };
  const spend = effort();
  const between = (skip: string, output: string): Set<Node> => {
    const nodes = new Set<Node>();
    const stack = [output];
    for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
      const node = made.get(name);
      if (!node || name === skip || !stream.has(name) || nodes.has(node)) continue;
      nodes.add(node);
      const uses = dataUses(node);
      spend(1 + uses.length);
      for (const use of uses) stack.push(use);
    }
    return nodes;
  };

  const onPath = new Set(path);
  /** Of each node, those beside the path that read it; of these, how many they read. What reads the tokens themselves is of no branch. */
  const readersAside = new Map<Node, Node[]>();
  const readAside = new Map<Node, number>();
  for (const node of graph.nodes) {
    if (onPath.has(node) || !node.outputs.some((o) => stream.has(o))) continue;
    const makers = new Set(dataUses(node).flatMap((use) => (stream.has(use) ? [made.get(use)] : [])));
    readAside.set(node, makers.size);
    for (const maker of makers) {
      if (!maker) continue;
      const readers = readersAside.get(maker);
      if (readers) readers.push(node);
      else readersAside.set(maker, [node]);
    }
  }
  /** Adds what reads of the text only what a branch makes. It looks at what the branch feeds, not at all that is beside the path. */
  const withAside = (nodes: Set<Node>): Set<Node> => {
    const read = new Map<Node, number>();
    for (const node of nodes) {
      const readers = readersAside.get(node) ?? [];
      spend(readers.length);
      for (const reader of readers) {
        read.set(reader, (read.get(reader) ?? 0) + 1);
        if (read.get(reader) === readAside.get(reader)) nodes.add(reader);
      }
    }
    return nodes;
  };

  return path.flatMap((node) => {
    const [sum] = node.outputs as [string];
    const inputs = residualStream.has(sum) ? adds(sum) : null;
    if (!inputs) return [];
    const all = terms(inputs);
    const skips = all.filter((t) => residualStream.has(t));
    const [skip] = skips;
    if (skip === undefined || skips.length > 1) return [];
    return all
      .filter((t) => t !== skip)
      .map((output) => ({ output, skip, sum, nodes: withAside(between(skip, output)) }))
      .filter(({ nodes }) => [...nodes].some((n) => isProduct(n) && usesOf(n).some((i) => !stream.has(i))))
      .map((branch) => {
        const meets = [...branch.nodes].some(
          (n) => operatorOf(n)?.mixesTokens !== undefined || (isProduct(n) && usesOf(n).every((i) => stream.has(i))),
        );
        return { kind: meets ? ("ATTENTION" as const) : ("MLP" as const), ...branch };
      });
  });
}
