import { largest } from "../large-lists.ts";
import { consumers, replaceUses } from "../onnx/edit.ts";
import type { Graph, Node } from "../onnx/ir.ts";
import { integersOf, integerTensor, isInteger } from "../onnx/tensors.ts";
import { type Axis, find } from "../operators/axis.ts";
import { isProduct, operatorOf } from "../operators/operators.ts";
import type { Branch } from "./branches.ts";
import type { Removed } from "./entries.ts";
import { lostWith } from "./lost-with.ts";

/** An expert that is computed by nodes of its own, and added to the others'. */
export interface OwnExpert {
  /** Names of initializers that state its place among the experts. */
  readonly places: readonly string[];
  /** What it adds to the sum of the experts' results. */
  readonly term: string;
  /** Names of the weights that are its alone. */
  readonly parameters: readonly string[];
}

/** The experts of a branch: those of an axis that tokens choose from. */
export interface Experts {
  /** How many each token chooses at most: fewer cannot be left. */
  readonly chosen: number;
  /** Name of the places that were chosen, [tokens, chosen]. */
  readonly places: string;
  /** Of each entry, its own nodes; null where all are computed together, of weights that have the axis. */
  readonly own: readonly OwnExpert[] | null;
  /** Where all are computed together: what they give, and the axis that these are summed over in the end; null if nothing sums them plainly. */
  readonly together: { readonly value: string; readonly axis: number } | null;
  /** What the tokens' scores of the experts come of: a product whose result has the axis last. */
  readonly scores: string;
}

/** What finding experts looks at. */
export interface Choices {
  readonly graph: Graph;
  readonly stream: ReadonlySet<string>;
  readonly axes: ReadonlyMap<string, readonly Axis[]>;
  /** Values whose elements are places along an axis (axes.ts). */
  readonly places: ReadonlyMap<string, Axis>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly parameters: ReadonlySet<string>;
}

/** Tells what of a branch's leaves tokens choose from, and how the entries are computed; a text says why they cannot go. */
export function expertsIn(choices: Choices): (branch: Branch, leaf: Axis) => Experts | string | null {
  const { graph, axes, places, shapes } = choices;
  const choosers = graph.nodes.flatMap((node) => {
    const { chooses } = operatorOf(node) ?? {};
    const x = axes.get(node.inputs[0] ?? "") ?? [];
    const along = chooses?.(node);
    const axis = along === undefined ? undefined : x.at(along);
    return axis === undefined ? [] : [{ node, of: find(axis) }];
  });
  const whole = ownExperts(choices);
  return (_, leaf) => {
    const own = choosers.filter(({ of }) => of === leaf);
    const last = own.at(-1);
    if (!last) return null;
    const counts = own.flatMap(({ node }) => shapes.get(node.inputs[1] ?? "")?.[0] ?? []);
    if (counts.length < own.length) return "how many experts a token chooses depends on the data";
    if (choosers.some(({ of }) => of !== leaf && isWithin(leaf, of))) return "its experts are chosen by groups, which are of one size";
    const read = [...places].filter(([, of]) => find(of) === leaf).map(([name]) => name);
    const found = whole(leaf, new Set(read));
    if (typeof found === "string") return found;
    const [, chosen = ""] = last.node.outputs;
    const scores = scoresOf(choices, leaf);
    if (scores === null) return "its experts' scores are no product of the text with weights";
    const together = found ? null : summedOver(choices, leaf);
    return { chosen: largest(counts), places: chosen, own: found, together, scores };
  };
}

/** The first product of the text with weights whose columns are a leaf's entries. */
function scoresOf({ graph, stream, axes }: Choices, leaf: Axis): string | null {
  const columns = (name: string) => axes.get(name)?.at(-1);
  const of = graph.nodes.find(
    (n) =>
      isProduct(n) &&
      stream.has(n.outputs[0] ?? "") &&
      find(columns(n.outputs[0] ?? "") as Axis) === leaf &&
      !stream.has(n.inputs[1] ?? ""),
  );
  return of?.outputs[0] ?? null;
}

/** The last value that a leaf's entries lie side by side in, before they are summed up. */
function summedOver({ graph, stream, axes }: Choices, leaf: Axis): Experts["together"] {
  const sums = graph.nodes.flatMap((node) => {
    const [value = ""] = node.inputs;
    const has = (name: string) => (axes.get(name) ?? []).findIndex((a) => find(a) === leaf);
    const axis = operatorOf(node)?.sums && stream.has(value) ? has(value) : -1;
    return axis >= 0 && has(node.outputs[0] ?? "") < 0 ? [{ value, axis }] : [];
  });
  return sums.at(-1) ?? null;
}

const isWithin = (leaf: Axis, of: Axis): boolean => find(of).parts?.axes.some((a) => find(a) === leaf || isWithin(leaf, a)) ?? false;

/** Of each entry the nodes behind `places == entry`, up to the sum that they are added to. */
function ownExperts({
  graph,
  stream,
  parameters,
}: Choices): (leaf: Axis, places: ReadonlySet<string>) => readonly OwnExpert[] | null | string {
  const readers = consumers(graph);
  const losses = lostWith(graph);
  return (leaf, places) => {
    const picks = graph.nodes.flatMap((node) => {
      const pick = pickOf(node, graph);
      return pick && places.has(pick.of) && pick.entry < leaf.size ? [{ node, ...pick }] : [];
    });
    if (picks.length === 0) return null;
    const found: OwnExpert[] = [];
    for (let entry = 0; entry < leaf.size; entry++) {
      const own = picks.filter((p) => p.entry === entry);
      const [term = "", ...others] = new Set(own.flatMap(({ node }) => endsOf(node)));
      if (term === "" || others.length > 0) return `what expert ${entry} gives is no one term of a sum`;
      const lost = losses([{ kind: "MLP", output: term, skip: "", sum: "", nodes: new Set() }]);
      found.push({ places: own.map((p) => p.place), term, parameters: [...parameters].filter((name) => lost.has(name)) });
    }
    return found;
  };

  /** Where what follows from a node is added to what does not. */
  function endsOf(from: Node): string[] {
    const reached = new Set(from.outputs);
    const ends: string[] = [];
    const stack = [...from.outputs];
    for (let name = stack.pop(); name !== undefined; name = stack.pop())
      for (const node of readers.get(name) ?? []) {
        if (operatorOf(node)?.readsShapeOnly) continue;
        const other = node.inputs.find((i) => i !== name && stream.has(i));
        if (operatorOf(node)?.adds && other !== undefined && !reached.has(other)) ends.push(name);
        else
          for (const o of node.outputs)
            if (!reached.has(o)) {
              reached.add(o);
              stack.push(o);
            }
      }
    return ends;
  }
}

/** `of == place`, the place being a constant. */
function pickOf(node: Node, graph: Graph): { readonly of: string; readonly place: string; readonly entry: number } | null {
  if (node.domain !== "" || node.opType !== "Equal") return null;
  const [of = "", place = ""] = node.inputs;
  const tensor = graph.initializers.get(place);
  const values = tensor?.dims.every((d) => d === 1) && isInteger(tensor.dataType) ? integersOf(tensor) : [];
  return values.length === 1 ? { of, place, entry: values[0] as number } : null;
}

/** Takes experts out of the sums that they are added in, and numbers those that stay from 0 without gaps. */
export function withoutExperts(
  graph: Graph,
  experts: readonly { readonly leaf: Axis; readonly own: readonly OwnExpert[] }[],
  removed: Removed,
): Graph {
  const initializers = new Map(graph.initializers);
  const terms = new Set<string>();
  for (const { leaf, own } of experts) {
    const gone = removed.get(leaf) ?? new Set();
    let place = 0;
    for (const [entry, { places, term }] of own.entries()) {
      if (gone.has(entry)) {
        terms.add(term);
        continue;
      }
      for (const name of places) {
        const tensor = initializers.get(name);
        if (tensor) initializers.set(name, { ...integerTensor(name, tensor.dataType, tensor.dims, [place]) });
      }
      place++;
    }
  }
  return withoutTerms({ ...graph, initializers }, terms);
}

/** Takes terms out of the sums they are added in; a sum without terms is out itself. */
export function withoutTerms(graph: Graph, terms: ReadonlySet<string>): Graph {
  const out = new Set(terms);
  const alias = new Map<string, string>();
  for (const node of graph.nodes) {
    if (!operatorOf(node)?.adds || !node.inputs.some((i) => out.has(i))) continue;
    const [sum] = node.outputs as [string];
    const left = node.inputs.find((i) => !out.has(i));
    if (left === undefined) out.add(sum);
    else alias.set(sum, alias.get(left) ?? left);
  }
  return replaceUses(graph, alias);
}
