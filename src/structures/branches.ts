import { append } from "../large-lists.ts";
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
  const { stream, path, residualStream } = flow;
  const makers = producers(flow.graph);
  const spend = effort();
  const termsOf = summing(flow, makers);
  const withAside = besidePath(flow, makers, spend);

  return path.flatMap((node) => {
    const [sum] = node.outputs as [string];
    const terms = residualStream.has(sum) ? termsOf(sum) : [];
    const skips = terms.filter((t) => residualStream.has(t));
    const [skip] = skips;
    if (skip === undefined || skips.length > 1) return [];
    return terms
      .filter((t) => t !== skip)
      .map((output) => ({ output, skip, sum, nodes: withAside(between(skip, output, flow, makers, spend)) }))
      .filter(({ nodes }) => [...nodes].some((n) => isProduct(n) && usesOf(n).some((i) => !stream.has(i))))
      .map((branch) => ({ kind: tokensMeetIn(branch.nodes, stream) ? ("ATTENTION" as const) : ("MLP" as const), ...branch }));
  });
}

const tokensMeetIn = (nodes: ReadonlySet<Node>, stream: Flow["stream"]): boolean =>
  [...nodes].some((n) => operatorOf(n)?.mixesTokens !== undefined || (isProduct(n) && usesOf(n).every((i) => stream.has(i))));

type Makers = ReadonlyMap<string, Node>;

/** Gives the terms of a sum of sums, from left to right; none of what is no sum. A sum that others read as well is one term. */
function summing({ graph, stream, residualStream }: Flow, makers: Makers): (name: string) => string[] {
  const readers = consumers(graph);
  // A value added to itself is no term.
  const added = (name: string): readonly string[] | null => {
    const node = makers.get(name);
    return node && operatorOf(node)?.adds && node.inputs[0] !== node.inputs[1] && node.inputs.every((i) => stream.has(i))
      ? node.inputs
      : null;
  };
  return (sum) => {
    const found: string[] = [];
    const stack = [...(added(sum) ?? [])].reverse();
    for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
      const inputs = residualStream.has(name) || readers.get(name)?.length !== 1 ? null : added(name);
      if (inputs) append(stack, [...inputs].reverse());
      else found.push(name);
    }
    return found;
  };
}

type Spend = ReturnType<typeof effort>;

/** The nodes on all ways from a value of the residual stream to a branch's output. */
function between(skip: string, output: string, { stream }: Flow, makers: Makers, spend: Spend): Set<Node> {
  const nodes = new Set<Node>();
  const stack = [output];
  for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
    const node = makers.get(name);
    if (!node || name === skip || !stream.has(name) || nodes.has(node)) continue;
    nodes.add(node);
    const uses = dataUses(node);
    spend(1 + uses.length);
    for (const use of uses) stack.push(use);
  }
  return nodes;
}

/**
 * Adds to a branch's nodes those beside the path that read of the text only what the branch makes. It looks at what the branch feeds,
 * not at all that is beside the path. What reads the tokens themselves is of no branch.
 */
function besidePath({ graph, stream, path }: Flow, makers: Makers, spend: Spend): (nodes: Set<Node>) => Set<Node> {
  const onPath = new Set(path);
  /** Of each node, those beside the path that read it; of these, how many they read. */
  const readersAside = new Map<Node, Node[]>();
  const readAside = new Map<Node, number>();
  for (const node of graph.nodes) {
    if (onPath.has(node) || !node.outputs.some((o) => stream.has(o))) continue;
    const read = new Set(dataUses(node).flatMap((use) => (stream.has(use) ? [makers.get(use)] : [])));
    readAside.set(node, read.size);
    for (const maker of read) {
      if (!maker) continue;
      const readers = readersAside.get(maker);
      if (readers) readers.push(node);
      else readersAside.set(maker, [node]);
    }
  }
  return (nodes) => {
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
}
