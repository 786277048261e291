import { intOf, intsOf } from "../onnx/attributes.ts";
import { normalizeAxis } from "../onnx/builder.ts";
import { type Graph, type Node, operatorKey, type StaticType } from "../onnx/ir.ts";
import { type Axis, concatenation, freeze, leaf, product, unify } from "./axis.ts";

/** An operator call as its rule sees it. */
interface Call {
  readonly node: Node;
  readonly opset: number;
  /** Axes of each input and output; those of an absent one are []. */
  readonly x: readonly (readonly Axis[])[];
  readonly y: readonly (readonly Axis[])[];
  /** The elements of an input that states a shape; null if it is absent or depends on the data. */
  ints(input: number): readonly number[] | null;
  same(a: Axis | undefined, b: Axis | undefined): void;
  freeze(axes: readonly (Axis | undefined)[]): void;
}

type Rule = (call: Call) => void;

const pick = (call: Call, side: "x" | "y", i: number): readonly Axis[] => call[side][i] ?? [];

/** Axes from the last on; those of size 1 are broadcast. */
function broadcast(call: Call, from: readonly Axis[], to: readonly Axis[]): void {
  for (const [i, a] of from.entries()) {
    const b = to[to.length - from.length + i];
    if (b && a.size === b.size) call.same(a, b);
  }
}

/** Each entry of the results follows from the entries at its place in the operands. */
const elementwise: Rule = (call) => {
  for (const y of call.y) for (const x of call.x) broadcast(call, x, y);
};

/** Elementwise but for one axis, whose entries are mixed with each other: none of them can go. */
const mixing =
  (axesOf: (call: Call, rank: number) => readonly number[]): Rule =>
  (call) => {
    elementwise(call);
    const x = pick(call, "x", 0);
    call.freeze(axesOf(call, x.length).map((a) => x[normalizeAxis(a, x.length)]));
  };

const fromAxis: (fallback: number) => (call: Call, rank: number) => readonly number[] = (fallback) => (call, rank) => {
  const first = normalizeAxis(intOf(call.node, "axis", fallback), rank);
  return Array.from({ length: rank - first }, (_, i) => first + i);
};

/** Before operator set 13 a Softmax goes over all axes from its own on. */
const softmax = mixing((call, rank) => (call.opset >= 13 ? [intOf(call.node, "axis", -1)] : fromAxis(1)(call, rank)));

/** Sums leave each term its own, so terms can go; other reductions depend on how many there are. */
const reduce =
  (sum: boolean): Rule =>
  (call) => {
    const [x, y] = [pick(call, "x", 0), pick(call, "y", 0)];
    const stated = intsOf(call.node, "axes") ?? call.ints(1) ?? [...x.keys()];
    const over = new Set(stated.map((a) => normalizeAxis(a, x.length)));
    const kept = [...x.keys()].filter((i) => !over.has(i));
    const keepsRank = y.length === x.length;
    for (const [j, i] of kept.entries()) call.same(x[i], y[keepsRank ? i : j]);
    if (!sum) call.freeze([...over].map((i) => x[i]));
  };

/** The same elements in the same order. */
const regroup: Rule = (call) => call.same(product(pick(call, "x", 0)), product(pick(call, "y", 0)));

const transpose: Rule = (call) => {
  const [x, y] = [pick(call, "x", 0), pick(call, "y", 0)];
  const perm = intsOf(call.node, "perm") ?? [...x.keys()].reverse();
  for (const [i, p] of perm.entries()) call.same(x[p], y[i]);
};

const matMul: Rule = (call) => {
  const [a, b, y] = [pick(call, "x", 0), pick(call, "x", 1), pick(call, "y", 0)];
  const rows = a.length > 1 ? a.slice(0, -1) : [];
  const columns = b.length > 1 ? [...b.slice(0, -2), b.at(-1) as Axis] : [];
  call.same(a.at(-1), b.at(b.length > 1 ? -2 : -1));
  broadcast(call, rows, columns.length > 0 ? y.slice(0, -1) : y);
  if (columns.length > 0) {
    call.same(columns.at(-1), y.at(-1));
    broadcast(call, columns.slice(0, -1), y.slice(0, rows.length > 0 ? -2 : -1));
  }
};

const gemm: Rule = (call) => {
  const turned = (i: number, attribute: string) => {
    const axes = pick(call, "x", i);
    return intOf(call.node, attribute, 0) === 1 ? [...axes].reverse() : axes;
  };
  const [a, b, y] = [turned(0, "transA"), turned(1, "transB"), pick(call, "y", 0)];
  call.same(a[0], y[0]);
  call.same(a[1], b[0]);
  call.same(b[1], y[1]);
  broadcast(call, pick(call, "x", 2), y);
};

/** Tensors that are equal but along one axis, where the whole is the parts one after the other. */
function joined(call: Call, whole: readonly Axis[], parts: readonly (readonly Axis[])[], at: number): void {
  const axis = normalizeAxis(at, whole.length);
  call.same(whole[axis], concatenation(parts.map((p) => p[axis] as Axis)));
  for (const part of parts) for (const [i, a] of part.entries()) if (i !== axis) call.same(a, whole[i]);
}

const concat: Rule = (call) => joined(call, pick(call, "y", 0), call.x, intOf(call.node, "axis", 0));
const split: Rule = (call) =>
  joined(
    call,
    pick(call, "x", 0),
    call.y.filter((y) => y.length > 0),
    intOf(call.node, "axis", 0),
  );

const slice: Rule = (call) => {
  const [x, y] = [pick(call, "x", 0), pick(call, "y", 0)];
  const starts = intsOf(call.node, "starts") ?? call.ints(1);
  const axes = intsOf(call.node, "axes") ?? call.ints(3) ?? starts?.keys();
  if (!starts || !axes) return call.freeze([...x, ...y]);
  const steps = call.ints(4);
  const cut = new Map([...axes].map((a, i) => [normalizeAxis(a, x.length), { start: starts[i] ?? 0, step: steps?.[i] ?? 1 }]));
  for (const [i, a] of x.entries()) {
    const b = y[i] as Axis;
    const { start, step } = cut.get(i) ?? { start: 0, step: 1 };
    const from = Math.min(start < 0 ? start + a.size : start, a.size);
    if (step === 1) call.same(a, concatenation([leaf(from), b, leaf(a.size - from - b.size)]));
    else if (step > 1 && b.size * step === a.size && from < step) {
      // Places within a stride tell what lies there (gate or up): they are no entries that could go.
      const places = leaf(step);
      call.freeze([places]);
      call.same(a, product([b, places]));
    } else call.freeze([a, b]);
  }
};

/** Looking up by the text needs every entry of the table; one place known beforehand is a cut. */
function lookedUp(call: Call, axis: Axis): void {
  const [index, ...more] = call.ints(1) ?? [];
  if (index === undefined || more.length > 0) call.freeze([axis]);
  else {
    const before = index < 0 ? index + axis.size : index;
    call.same(axis, concatenation([leaf(before), leaf(1), leaf(axis.size - before - 1)]));
  }
}

const gather: Rule = (call) => {
  const [x, indices, y] = [pick(call, "x", 0), pick(call, "x", 1), pick(call, "y", 0)];
  const at = normalizeAxis(intOf(call.node, "axis", 0), x.length);
  for (const [i, a] of x.entries()) if (i !== at) call.same(a, y[i < at ? i : i + indices.length - 1]);
  for (const [i, a] of indices.entries()) call.same(a, y[at + i]);
  lookedUp(call, x[at] as Axis);
};

/** Places on the first axes, told by the last axis of the indices. */
const gatherND: Rule = (call) => {
  const [x, indices, y] = [pick(call, "x", 0), pick(call, "x", 1), pick(call, "y", 0)];
  const batches = intOf(call.node, "batch_dims", 0);
  const lead = indices.length - 1;
  const [first, ...more] = x.slice(batches, batches + (indices[lead]?.size ?? 0));
  for (let i = 0; i < lead; i++) call.same(indices[i], y[i]);
  for (let i = 0; i < batches; i++) call.same(x[i], y[i]);
  for (const [i, a] of x.slice(batches + 1 + more.length).entries()) call.same(a, y[lead + i]);
  if (first && more.length === 0) lookedUp(call, first);
  else call.freeze([first, ...more]);
};

/** Elements of the indices' shape, from anywhere on one axis. */
const gatherElements: Rule = (call) => {
  const [x, indices, y] = [pick(call, "x", 0), pick(call, "x", 1), pick(call, "y", 0)];
  const at = normalizeAxis(intOf(call.node, "axis", 0), x.length);
  for (const [i, a] of indices.entries()) call.same(a, y[i]);
  call.freeze([x[at]]);
  for (const [i, a] of x.entries())
    if (i !== at) {
      if (a.size === y[i]?.size) call.same(a, y[i]);
      else call.freeze([a, y[i]]);
    }
};

const tile: Rule = (call) => {
  for (const [i, a] of pick(call, "x", 0).entries()) {
    const b = pick(call, "y", 0)[i] as Axis;
    call.same(b, product([leaf(b.size / a.size), a]));
  }
};

/**
 * Whole attentions whose heads are stated in attributes: `heads * width` columns, queries `groups * queries * width`. Widths
 * are mixed by the product of queries and keys. Inputs: queries (or all three, one after the other), keys, values, and where
 * the past keys and values are; outputs: the result, and keys and values of past and present.
 */
const attention =
  (groups: string, past: number): Rule =>
  (call) => {
    const [q, y] = [pick(call, "x", 0), pick(call, "y", 0)];
    const heads = intOf(call.node, "num_heads", 1);
    const shared = intOf(call.node, groups, heads);
    const width = (y.at(-1)?.size ?? 0) / heads;
    const [group, queries, inner] = [leaf(shared), leaf(heads / shared), leaf(width)];
    const [all, each] = [product([group, queries, inner]), product([group, inner])];
    call.freeze([inner]);
    call.same(y.at(-1), all);
    for (const i of [0, 1]) call.same(q[i], y[i]);
    const [keys, values] = [pick(call, "x", 1), pick(call, "x", 2)];
    call.same(q.at(-1), keys.length > 0 ? all : concatenation([all, each, each]));
    for (const kv of [keys, values]) {
      call.same(kv[0], y[0]);
      if (kv.length === 3) call.same(kv[2], each);
    }
    for (const cache of [pick(call, "x", past), pick(call, "x", past + 1), pick(call, "y", 1), pick(call, "y", 2)]) {
      call.same(cache[0], y[0]);
      call.same(cache[1], group);
      call.freeze(cache.slice(2));
    }
    // Masks and sinks by head, and whatever else it may take, is left as it is.
    call.freeze(call.x.flatMap((x, i) => (i > 2 && i !== past && i !== past + 1 ? x : [])));
  };

/** Turns pairs of each head's entries. */
const rotary: Rule = (call) => {
  const [x, y] = [pick(call, "x", 0), pick(call, "y", 0)];
  elementwise({ ...call, x: [x], y: [y] });
  const heads = intOf(call.node, "num_heads", 0);
  const partial = intOf(call.node, "rotary_embedding_dim", 0);
  const columns = x.at(-1) as Axis;
  const table = pick(call, "x", 2).at(-1)?.size ?? 0;
  if (x.length === 4) return call.freeze([columns]);
  const width = heads > 0 ? columns.size / heads : partial > 0 ? 0 : 2 * table;
  const inner = leaf(width);
  call.freeze(width > 0 ? [inner] : [columns]);
  if (width > 0) call.same(columns, product([leaf(columns.size / width), inner]));
};

/** Normalises the last axes of the first input; other inputs are terms, scales and biases. */
const normalisation = mixing(fromAxis(-1));

/** Results whose entries say nothing about where others lie: shapes, ranges, constants. */
const unrelated: Rule = () => {};

/** What an operator does to axes. Operators that are not here freeze all they touch. */
const rules: Readonly<Record<string, Rule>> = {
  ...Object.fromEntries(
    [
      ...["Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Cos", "Div", "Dropout", "Elu", "Equal", "Erf", "Exp", "Floor"],
      ...[
        "Gelu",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "HardSwish",
        "Identity",
        "IsInf",
        "IsNaN",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
      ],
      ...["Log", "Max", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu", "Round", "Sigmoid", "Sign", "Sin"],
      ...["Softplus", "Sqrt", "Sub", "Sum", "Swish", "Tanh", "Where", "Xor", "com.microsoft::BiasGelu", "com.microsoft::FastGelu"],
      ...["com.microsoft::Gelu", "com.microsoft::QuickGelu"],
    ].map((operator) => [operator, elementwise]),
  ),
  Concat: concat,
  Constant: unrelated,
  ConstantOfShape: unrelated,
  CumSum: mixing((call, rank) => call.ints(1) ?? [...Array(rank).keys()]),
  Expand: (call) => broadcast(call, pick(call, "x", 0), pick(call, "y", 0)),
  Flatten: regroup,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  Gemm: gemm,
  LayerNormalization: normalisation,
  LogSoftmax: softmax,
  MatMul: matMul,
  RMSNormalization: normalisation,
  Range: unrelated,
  ReduceMax: reduce(false),
  ReduceMean: reduce(false),
  ReduceSum: reduce(true),
  Reshape: regroup,
  Shape: unrelated,
  SimplifiedLayerNormalization: normalisation,
  Size: unrelated,
  Slice: slice,
  Softmax: softmax,
  Split: split,
  Squeeze: regroup,
  Tile: tile,
  Transpose: transpose,
  Trilu: mixing(() => [-2, -1]),
  Unsqueeze: regroup,
  "com.microsoft::GroupQueryAttention": attention("kv_num_heads", 3),
  "com.microsoft::RotaryEmbedding": rotary,
  "com.microsoft::SkipLayerNormalization": normalisation,
  "com.microsoft::SkipSimplifiedLayerNormalization": normalisation,
};

/**
 * The axes of every value of a graph, unified as its operators demand.
 *
 * @param types static types of every value
 * @param shapes elements of the values read as shapes (see shape-arithmetic.ts)
 */
export function axesOf(
  graph: Graph,
  opset: number,
  types: ReadonlyMap<string, StaticType>,
  shapes: ReadonlyMap<string, readonly number[]>,
): Map<string, readonly Axis[]> {
  const axes = new Map([...types].map(([name, { shape }]) => [name, shape.map(leaf)]));
  for (const node of graph.nodes) {
    const operator = operatorKey(node);
    const reason = `${operator} "${node.name}"`;
    const call: Call = {
      node,
      opset,
      x: node.inputs.map((name) => axes.get(name) ?? []),
      y: node.outputs.map((name) => axes.get(name) ?? []),
      ints: (i) => shapes.get(node.inputs[i] ?? "") ?? null,
      same: (a, b) => {
        if (a && b) unify(a, b, reason);
      },
      freeze: (list) => {
        for (const a of list) if (a) freeze(a, reason);
      },
    };
    (rules[operator] ?? ((c: Call) => c.freeze([...c.x, ...c.y].flat())))(call);
  }
  return axes;
}
