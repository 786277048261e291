import { EspalierError } from "../errors.ts";
import { tensorOf } from "../onnx/attributes.ts";
import { producers, removeDead } from "../onnx/edit.ts";
import { type Dim, type Graph, type Model, type Node, type StaticType, sizeOf, type Tensor, type ValueInfo } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { integerTensor } from "../onnx/tensors.ts";
import { verify } from "../onnx/verify.ts";
import { type Axis, find } from "../operators/axis.ts";
import type { Resized, Shapes } from "../operators/operator.ts";
import { operatorOf } from "../operators/operators.ts";
import type { Divisions } from "./divisions.ts";
import { type Range, type Removed, staying, stayingBefore } from "./entries.ts";
import { withoutExperts } from "./experts.ts";
import { shareAgain } from "./own-constants.ts";
import { shapeValues } from "./shape-arithmetic.ts";
import { sliceTensor } from "./slice-tensor.ts";

/**
 * Removes entries of axes in one rewrite: weights and constants are sliced, declared shapes follow, and so do the shapes
 * that nodes are told. What is dynamic stays dynamic: a shape computed at run time is multiplied by how much its entries
 * shrink, unless it follows by itself.
 *
 * @throws EspalierError NOTHING_LEFT if an axis would lose all entries; CANNOT_FOLLOW if a node is told a shape that
 *   cannot be made to follow; PACKED_TENSOR
 */
export async function removeEntries(model: Model, divisions: Divisions, removed: Removed, read: TensorReader): Promise<Model> {
  const { graph, copies } = divisions.unshared;
  const whole = { ...model, graph };
  for (const [leaf, entries] of removed)
    if (entries.size >= leaf.size)
      throw new EspalierError("NOTHING_LEFT", "all experts, heads or channels of a branch cannot go one by one: remove the branch instead");

  const memo = new Map<Axis, Range[] | null>();
  const keep = (axis: Axis): Range[] | null => {
    const root = find(axis);
    if (!memo.has(root)) memo.set(root, staying(root, removed));
    return memo.get(root) ?? null;
  };
  const keeps = (name: string) => (divisions.axes.get(name) ?? []).map(keep);
  const size = (ranges: readonly Range[] | null, whole: number) => ranges?.reduce((n, r) => n + r.length, 0) ?? whole;
  const types = new Map(
    [...divisions.types].map(([name, type]): [string, StaticType] => {
      const ranges = keeps(name);
      return [name, { ...type, shape: type.shape.map((d, i) => size(ranges[i] ?? null, d)) }];
    }),
  );

  const cut = (name: string) => keeps(name).some((r) => r !== null);
  const isCut = (node: Node) => node.opType === "Constant" && cut(node.outputs[0] as string);
  const constants = [
    ...graph.initializers.values(),
    ...graph.nodes.filter(isCut).flatMap((n) => ({ ...(tensorOf(n, "value") as Tensor), name: n.outputs[0] as string })),
  ];
  const initializers = new Map(constants.map((t) => [t.name, cut(t.name) ? sliceTensor(t, keeps(t.name), read) : t]));
  const declared = (value: ValueInfo): ValueInfo => {
    const ranges = keeps(value.name);
    // A named size stands for the same number wherever it is named: one that shrinks loses its name.
    const shrunk = (d: Dim, by: readonly Range[]) => (typeof d === "number" ? size(by, d) : "");
    const shape = value.shape?.map((d, i) => (ranges[i] ? shrunk(d, ranges[i]) : d)) ?? null;
    return cut(value.name) ? { ...value, shape } : value;
  };

  const now = await shapeValues(whole, types);
  const told = followed(whole, divisions.types, { before: divisions.shapes, now }, (node) => {
    const [first = ""] = node.inputs;
    const resized: Resized = {
      node,
      ...shapesOf(node, types),
      before: divisions.types.get(first)?.shape ?? [],
      ints: (i) => divisions.shapes.get(node.inputs[i] ?? "") ?? null,
      moved: (axis, position) => {
        const ranges = keeps(first)[axis];
        return ranges ? stayingBefore(ranges, position) : position;
      },
    };
    const after = operatorOf(node)?.shapesAfter;
    const targets = after ? after(resized) : [];
    if (targets === null && node.outputs.some(cut))
      throw new EspalierError("CANNOT_FOLLOW", `${node.opType} "${node.name}" takes its shape from the data`, { node: node.name });
    return (targets ?? []).map(([input, wanted]) => ({ input, wanted, given: now.get(node.inputs[input] as string) ?? [] }));
  });
  const narrowed = {
    ...graph,
    inputs: graph.inputs.map(declared),
    outputs: graph.outputs.map(declared),
    valueInfo: graph.valueInfo.map(declared),
    initializers: new Map([...initializers, ...told.initializers]),
    nodes: told.nodes.filter((n) => !isCut(n)).map((n) => counted(n, divisions.types, types)),
  };
  const apart = divisions.divisions.flatMap(({ leaf, experts }) => (experts?.own ? [{ leaf, own: experts.own }] : []));
  const result = { ...model, graph: removeDead(shareAgain({ graph: withoutExperts(narrowed, apart, removed), copies })) };
  verify(result);
  return result;
}

const shapesOf = (node: Node, types: ReadonlyMap<string, StaticType>): Shapes => ({
  x: node.inputs.map((name) => types.get(name)?.shape ?? []),
  y: node.outputs.map((name) => types.get(name)?.shape ?? []),
});

/** A node with the counts that its attributes state brought up to date. */
function counted(node: Node, before: ReadonlyMap<string, StaticType>, after: ReadonlyMap<string, StaticType>): Node {
  const changed = operatorOf(node)?.countsAfter?.(node, shapesOf(node, before), shapesOf(node, after)) ?? {};
  return Object.keys(changed).length > 0 ? { ...node, attributes: { ...node.attributes, ...changed } } : node;
}

interface Told {
  readonly input: number;
  /** What the operand must be, and what it is once shapes have followed. */
  readonly wanted: readonly number[];
  readonly given: readonly number[];
}

const equal = (a: readonly number[], b: readonly number[] | undefined): boolean => a.length === b?.length && a.every((v, i) => v === b[i]);

/**
 * Makes the operands that state shapes what they must be: constants are replaced, in a Concat one by one; other computed
 * ones are computed from sizes as they were, if they are not to change, and else multiplied.
 */
function followed(
  { graph }: Model,
  types: ReadonlyMap<string, StaticType>,
  values: { readonly before: ReadonlyMap<string, readonly number[]>; readonly now: ReadonlyMap<string, readonly number[]> },
  told: (node: Node) => readonly Told[],
): Pick<Graph, "nodes" | "initializers"> {
  const made = producers(graph);
  const taken = new Set([...graph.initializers.keys(), ...made.keys(), ...graph.inputs.map((i) => i.name)]);
  const initializers = new Map<string, Tensor>();
  const unique = (name: string): string => {
    if (taken.has(name)) return unique(`${name}'`);
    taken.add(name);
    return name;
  };
  const nodes = graph.nodes.flatMap((node) => {
    const added: Node[] = [];
    const constant = (name: string, like: string, values: readonly number[]) => {
      const { dataType, shape } = types.get(like) as StaticType;
      const own = unique(name);
      initializers.set(own, integerTensor(own, dataType, shape, values));
      return own;
    };
    const add = (opType: string, inputs: string[], attributes: Node["attributes"] = {}) => {
      const output = unique(`${node.outputs[0]}/${opType}`);
      added.push({ name: output, opType, domain: "", inputs, outputs: [output], attributes });
      return output;
    };
    const follow = (operand: string, wanted: readonly number[], given: readonly number[]): string => {
      if (equal(wanted, given)) return operand;
      const producer = made.get(operand);
      if (graph.initializers.has(operand) || producer?.opType === "Constant") return constant(`${node.outputs[0]}/shape`, operand, wanted);
      if (producer?.opType === "Concat") {
        let from = 0;
        const pieces = producer.inputs.map((piece) => {
          const to = from + sizeOf(types.get(piece)?.shape ?? []);
          const followed = follow(piece, wanted.slice(from, to), given.slice(from, to));
          from = to;
          return followed;
        });
        return add("Concat", pieces, producer.attributes);
      }
      return equal(wanted, values.before.get(operand)) ? restored(operand) : multiplied(operand, wanted, given);
    };
    /**
     * An operand as it was before: computed in the same way from sizes as they were, for a quotient of integers has lost
     * what it rounds off.
     */
    const restored = (operand: string): string => {
      const [before, now] = [values.before.get(operand), values.now.get(operand)];
      const producer = made.get(operand);
      if (!before || !now || equal(before, now) || !producer) return operand;
      if (!producer.inputs.every((i) => i === "" || values.before.has(i))) return multiplied(operand, before, now);
      return add(producer.opType, producer.inputs.map(restored), producer.attributes);
    };
    /** An operand times what it lacks. */
    const multiplied = (operand: string, wanted: readonly number[], given: readonly number[]): string => {
      if (wanted.length !== given.length || given.some((g, i) => (g === 0) !== (wanted[i] === 0)))
        throw new EspalierError(
          "CANNOT_FOLLOW",
          `${node.opType} "${node.name}" is told [${given}] and needs [${wanted}], which no factor makes of it`,
          { node: node.name },
        );
      const factors = (values: readonly number[]) => values.map((v, i) => (wanted[i] === given[i] ? 1 : v));
      const times = add("Mul", [operand, constant(`${node.outputs[0]}/times`, operand, factors(wanted))]);
      return add("Div", [times, constant(`${node.outputs[0]}/over`, operand, factors(given))]);
    };
    const inputs = [...node.inputs];
    for (const { input, wanted, given } of told(node)) inputs[input] = follow(node.inputs[input] as string, wanted, given);
    return [...added, inputs.some((name, i) => name !== node.inputs[i]) ? { ...node, inputs } : node];
  });
  return { nodes, initializers };
}
