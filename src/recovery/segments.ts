import { backward, type Gradients, gradientOf } from "../autodiff/backward.ts";
import { append } from "../large-lists.ts";
import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { producers, usesOf } from "../onnx/edit.ts";
import type { Graph, Node } from "../onnx/ir.ts";

type Uses = Gradients["uses"];

/**
 * The backward pass, a segment of the forward pass at a time: before a segment is led back through, what lies in it is worked out anew from the value that it
 * begins with (Chen et al. 2016, arXiv 1604.06174). So the values between segments stand all the time, and what is inside of one segment only. Gradients are the same,
 * for one forward pass more. What lies before the first end and after the last is not worked out anew.
 *
 * @param forward the graph that is led back through
 * @param seeds cotangents, by name
 * @param wanted names of inputs
 * @param ends names of values that the pass goes through one after the other; with none, it is the plain backward pass
 * @returns by wanted name its uses, in the order that the walk meets them
 */
export function backwardBySegments(
  b: GraphBuilder,
  forward: Graph,
  seeds: ReadonlyMap<string, Value>,
  wanted: readonly string[],
  ends: readonly string[],
): Uses {
  const [first, last] = [ends[0], ends.at(-1)];
  if (first === undefined || last === undefined) return backward(b, seeds, wanted).uses;
  const uses = new Map<string, Uses extends ReadonlyMap<string, infer Own> ? Own : never>();
  /** Leads back to a start, whose cotangent it gives: what comes from there, and what begins there. */
  const lead = (from: ReadonlyMap<string, Value>, to: Value, begins: Value | undefined): Value | null => {
    const found = backward(b, from, [to.name, ...wanted]).uses;
    for (const [name, own] of found) if (name !== to.name) uses.set(name, [...(uses.get(name) ?? []), ...own]);
    const parts = [gradientOf(b, to, found.get(to.name)), begins].filter((v) => v != null);
    return parts.length === 0 ? null : parts.reduce(b.add);
  };
  const isEnd = new Set(ends);
  const beyond = new Map([...seeds].filter(([name]) => !isEnd.has(name)));
  let cotangent = lead(beyond, b.value(last), seeds.get(last));
  for (let k = ends.length - 1; k > 0; k--) {
    const [from, to] = [ends[k - 1] as string, ends[k] as string];
    if (cotangent === null) {
      cotangent = seeds.get(from) ?? null;
      continue;
    }
    const start = after(b, b.value(from), cotangent);
    const end = again(b, between(forward, from, to), new Map([[from, start]])).get(to) as Value;
    cotangent = lead(new Map([[end.name, cotangent]]), start, seeds.get(from));
  }
  if (cotangent !== null)
    for (const [name, own] of backward(b, new Map([[first, cotangent]]), wanted).uses) uses.set(name, [...(uses.get(name) ?? []), ...own]);
  return uses;
}

/**
 * The same value, not to be had before another is there. So what is worked out of it anew cannot be worked out at once, nor taken for what it repeats. Where the
 * other is not finite no gradient is.
 */
function after(b: GraphBuilder, value: Value, other: Value): Value {
  const one = b.op("Slice", [b.reshape(other, [other.shape.reduce((x, y) => x * y, 1)]), b.ints([0]), b.ints([1])], [1]);
  return b.add(value, b.mul(one, b.scalar(0)));
}

/** The nodes by which one value leads to another, in order. */
function between(graph: Graph, from: string, to: string): Node[] {
  const follows = new Set([from]);
  for (const node of graph.nodes) if (usesOf(node).some((name) => follows.has(name))) for (const o of node.outputs) follows.add(o);
  const made = producers(graph);
  const leads = new Set<Node>();
  const pending = [to];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const node = name !== from && follows.has(name) ? made.get(name) : undefined;
    if (!node || leads.has(node)) continue;
    leads.add(node);
    append(pending, usesOf(node));
  }
  return graph.nodes.filter((node) => leads.has(node));
}

/** Appends nodes once more, which read what is given in place of what they read. @returns what each of their values is called there */
function again(b: GraphBuilder, nodes: readonly Node[], instead: ReadonlyMap<string, Value>): ReadonlyMap<string, Value> {
  const names = new Map(instead);
  for (const node of nodes) {
    const inputs = node.inputs.map((name) => (name === "" ? null : (names.get(name) ?? b.value(name))));
    const types = node.outputs.map((name) => (name === "" ? { dataType: "float32" as const, shape: [] } : b.value(name)));
    const made = b.node(node.opType, inputs, types, node.attributes, node.domain);
    for (const [i, name] of node.outputs.entries()) names.set(name, made[i] as Value);
  }
  return names;
}
