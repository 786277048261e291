import * as attr from "../onnx/attributes.ts";
import { type GraphBuilder, normalizeAxis, type Value } from "../onnx/builder.ts";
import { dataTypes, type Node, sizeOf } from "../onnx/ir.ts";
import { constantNumber, gemm, integersIn, onto, scaled, shifted, zero } from "./arithmetic.ts";
import { refuse } from "./refuse.ts";

/** What a rule sees of the forward node: only values that its operator requires are named without asking. */
export interface Primal {
  readonly node: Node;
  /** As many as the node has, but at least those its operator requires; an optional one that is absent is null. */
  readonly inputs: readonly [Value, Value, Value];
  readonly outputs: readonly [Value];
}

/**
 * The cotangent of each input, given those of the outputs (all of them: what nothing reads has zeros). Null, or
 * nothing, where an input takes none. A cotangent has the shape of the broadcast input: summing it down, and adding up
 * the uses of a value, is the walk's work.
 */
export type GradientRule = (b: GraphBuilder, primal: Primal, dy: Value, ...dys: Value[]) => readonly (Value | null)[];

/** Declares that no derivative flows through an operator: its results are integers, truth values or constants, or steps. */
export const notDifferentiable = "notDifferentiable";

const axisOf = (node: Node, x: Value, fallback: number): number => normalizeAxis(attr.intOf(node, "axis", fallback), x.shape.length);

const positive = (b: GraphBuilder, x: Value): Value => b.op("Greater", [x, zero(b, x)], x.shape, {}, "bool");

const passed: GradientRule = (_, __, dy) => [dy];
const restored: GradientRule = (b, { inputs: [x] }, dy) => [b.reshape(dy, x.shape)];

/** Axes of a reduction: an attribute in old operator sets, an input in new ones; none given means all. */
function reducedAxes(b: GraphBuilder, { node, inputs: [x, axes] }: Primal): number[] {
  const given = (axes as Value | undefined) ? integersIn(b, axes) : (attr.intsOf(node, "axes") ?? []);
  if (given.length > 0) return given.map((a) => normalizeAxis(a, x.shape.length));
  return attr.intOf(node, "noop_with_empty_axes", 0) === 1 ? [] : [...x.shape.keys()];
}

/** Lays the cotangent of a sum over what was summed. */
function spread(b: GraphBuilder, primal: Primal, dy: Value): Value {
  const [x] = primal.inputs;
  const axes = reducedAxes(b, primal);
  const kept = x.shape.map((d, i) => (axes.includes(i) ? 1 : d));
  return b.expand(b.reshape(dy, kept), x.shape);
}

/** Max and Min: to the input that was taken, in equal shares where several tie. */
const taken: GradientRule = (b, { inputs, outputs: [y] }, dy) => {
  const wins = inputs.map((x) => onto(b, b.op("Equal", [x, y], y.shape, {}, "bool"), dy));
  const share = b.div(dy, wins.reduce(b.add));
  return wins.map((w) => b.mul(share, w));
};

/** Undoes `start:end:step` along one axis of length `size`: what was not taken gets zeros. */
function unsliced(b: GraphBuilder, dy: Value, axis: number, size: number, start: number, step: number): Value {
  const count = dy.shape[axis] as number;
  const shape = dy.shape.map((d, i) => (i === axis ? size : d));
  if (step === 1) {
    const pads = [...dy.shape.map((_, i) => (i === axis ? start : 0)), ...dy.shape.map((_, i) => (i === axis ? size - start - count : 0))];
    return b.op("Pad", [dy, b.ints(pads)], shape);
  }
  const blank = b.expand(
    zero(b, dy),
    dy.shape.map((d, i) => (i === axis ? 1 : d)),
  );
  const source = Array.from({ length: size }, () => count);
  for (let k = 0; k < count; k++) source[start + k * step] = k;
  return b.gather(b.concat([dy, blank], axis), b.ints(source), axis);
}

const slice: GradientRule = (b, { inputs }, dy) => {
  const [x, startsOf, , axesOf, stepsOf] = inputs as readonly (Value | null)[] as readonly [Value, Value, Value, Value?, Value?];
  const starts = integersIn(b, startsOf);
  const axes = axesOf ? integersIn(b, axesOf).map((a) => normalizeAxis(a, x.shape.length)) : [...starts.keys()];
  const steps = stepsOf ? integersIn(b, stepsOf) : starts.map(() => 1);
  const whole = axes.reduce((d, axis, i) => {
    const size = x.shape[axis] as number;
    const step = steps[i] as number;
    const start = starts[i] as number;
    const from = Math.min(Math.max(start < 0 ? start + size : start, 0), step < 0 ? size - 1 : size);
    return unsliced(b, d, axis, size, from, step);
  }, dy);
  return [whole];
};

/** Indices as int64, those counted from the end of `rows` counted from its beginning. */
function counted(b: GraphBuilder, indices: Value, rows: Value): Value {
  const ids = b.cast(indices, "int64", dataTypes.int64.onnx);
  return b.where(b.op("Less", [ids, b.ints([0])], ids.shape, {}, "bool"), b.add(ids, rows), ids);
}

/**
 * Adds up what was read of each row, as a product with the one-hot matrix of the indices: unlike a scatter that adds,
 * it is in every operator set.
 *
 * @param at which row each of n was, [1, n]
 * @param dy [before, n, after]
 * @returns [before, rows, after]
 */
function addedUp(b: GraphBuilder, at: Value, rows: number, dy: Value): Value {
  const ids = b.ints([...Array(rows).keys()], [rows, 1]);
  return b.matMul(onto(b, b.op("Equal", [ids, at], [rows, at.shape[1] as number], {}, "bool"), dy), dy);
}

const gather: GradientRule = (b, { node, inputs: [data, indices] }, dy) => {
  const axis = axisOf(node, data, 0);
  const rows = data.shape[axis] as number;
  const n = sizeOf(indices.shape);
  const [before, after] = [sizeOf(data.shape.slice(0, axis)), sizeOf(data.shape.slice(axis + 1))];
  const at = counted(b, b.reshape(indices, [1, n]), b.ints([rows]));
  return [b.reshape(addedUp(b, at, rows, b.reshape(dy, [before, n, after])), data.shape), null];
};

/** Each index names a place on the first axes, whose places are counted here as rows of one. */
const gatherND: GradientRule = (b, { node, inputs: [data, indices] }, dy) => {
  if (attr.intOf(node, "batch_dims", 0) !== 0) return refuse(node, "GatherND by batches has no gradient rule");
  const width = indices.shape.at(-1) as number;
  const n = sizeOf(indices.shape) / width;
  const sizes = data.shape.slice(0, width);
  const places = counted(b, b.reshape(indices, [n, width]), b.ints(sizes));
  const strides = sizes.map((_, i) => sizeOf(sizes.slice(i + 1)));
  const at = b.reshape(b.reduceSum(b.mul(places, b.ints(strides)), [1]), [1, n]);
  return [b.reshape(addedUp(b, at, sizeOf(sizes), b.reshape(dy, [1, n, sizeOf(data.shape.slice(width))])), data.shape), null];
};

/** Each element was read at the place that its own index names on one axis; the other places it has in common with its index. */
const gatherElements: GradientRule = (b, { node, inputs: [data, indices] }, dy) => {
  const axis = axisOf(node, data, 0);
  const rows = data.shape[axis] as number;
  const [before, after] = [indices.shape.slice(0, axis), indices.shape.slice(axis + 1)];
  const spread = (v: Value) => b.reshape(v, [...before, 1, indices.shape[axis] as number, ...after]);
  const ids = b.ints([...Array(rows).keys()], [rows, 1, ...after.map(() => 1)]);
  const at = spread(counted(b, indices, b.ints([rows])));
  const wins = b.op("Equal", [ids, at], [...before, rows, indices.shape[axis] as number, ...after], {}, "bool");
  const summed = b.reduceSum(b.mul(onto(b, wins, dy), spread(dy)), [axis + 1], false);
  // Indices may leave out the ends of the other axes.
  const missing = data.shape.map((d, i) => d - (summed.shape[i] as number));
  if (missing.every((m) => m === 0)) return [summed, null];
  return [b.op("Pad", [summed, b.ints([...missing.map(() => 0), ...missing])], data.shape), null];
};

/** A vector counts as a row on the left and as a column on the right. Rank-2 right sides, the weights, become one Gemm. */
const matMul: GradientRule = (b, { inputs: [p, q] }, dy) => {
  if (q.shape.length === 2) {
    const rows = (v: Value, width: number) => b.reshape(v, [sizeOf(v.shape) / width, width]);
    const [k, n] = q.shape as [number, number];
    const g = rows(dy, n);
    return [b.reshape(gemm(b, g, q, { transB: true }), p.shape), gemm(b, rows(p, k), g, { transA: true })];
  }
  const left = p.shape.length === 1 ? b.reshape(p, [1, ...p.shape]) : p;
  const right = q.shape.length === 1 ? b.reshape(q, [...q.shape, 1]) : q;
  const batch = dy.shape.slice(0, dy.shape.length - (p.shape.length === 1 ? 0 : 1) - (q.shape.length === 1 ? 0 : 1));
  const g = b.reshape(dy, [...batch, left.shape.at(-2) as number, right.shape.at(-1) as number]);
  const dp = b.matMul(g, b.transpose(right));
  const dq = b.matMul(b.transpose(left), g);
  return [dp, q.shape.length === 1 ? b.reshape(dq, dq.shape.slice(0, -1)) : dq];
};

/** Y = alpha A' B' + beta C. */
const gemmRule: GradientRule = (b, { node, inputs: [p, q] }, dy) => {
  const [transA, transB] = [attr.intOf(node, "transA", 0) === 1, attr.intOf(node, "transB", 0) === 1];
  const alpha = attr.floatOf(node, "alpha", 1);
  return [
    transA ? gemm(b, q, dy, { transA: transB, transB: true, alpha }) : gemm(b, dy, q, { transB: !transB, alpha }),
    transB ? gemm(b, dy, p, { transA: true, transB: transA, alpha }) : gemm(b, p, dy, { transA: !transA, alpha }),
    scaled(b, dy, attr.floatOf(node, "beta", 1)),
  ];
};

/** x^(k-1) k, with k = 2 (the square of every norm) spared a power. */
const pow: GradientRule = (b, { inputs: [x, k], outputs: [y] }, dy) => {
  const constant = constantNumber(b, k);
  const slope = constant === 2 ? scaled(b, x, 2) : b.mul(k, b.pow(x, shifted(b, k, -1)));
  return [b.mul(dy, slope), constant === undefined ? b.mul(dy, b.mul(y, b.log(x))) : null];
};

/** Repeats along each axis are an axis of their own, summed. */
const tile: GradientRule = (b, { inputs: [x, repeatsOf] }, dy) => {
  const split = integersIn(b, repeatsOf).flatMap((n, i) => [n, x.shape[i] as number]);
  return [
    b.reduceSum(
      b.reshape(dy, split),
      [...x.shape.keys()].map((i) => 2 * i),
      false,
    ),
    null,
  ];
};

/** To the elements that are the extreme of their row, in equal shares where several tie. */
const extreme: GradientRule = (b, primal, dy) => {
  const wins = onto(b, b.op("Equal", [primal.inputs[0], spread(b, primal, primal.outputs[0])], primal.inputs[0].shape, {}, "bool"), dy);
  return [b.mul(wins, b.div(spread(b, primal, dy), b.expand(b.reduceSum(wins, reducedAxes(b, primal)), wins.shape)))];
};

/**
 * Every input by the product of `dy` with the others, its own indices being what is left. An index of one input alone, or
 * twice in one, is not asked for by any exporter.
 */
const einsum: GradientRule = (b, { node, inputs }, dy) => {
  const [left = "", right = ""] = (attr.stringOf(node, "equation") ?? "").replaceAll(" ", "").split("->");
  const terms = left.split(",");
  return inputs.map((x, i) => {
    const own = terms[i] as string;
    const given = [right, ...terms.filter((_, j) => j !== i)];
    if (new Set(own).size < own.length || [...own].some((index) => index === "." || !given.some((term) => term.includes(index))))
      return null;
    const others = inputs.filter((_, j) => j !== i);
    return b.op("Einsum", [dy, ...others], x.shape, { equation: attr.string(`${given.join(",")}->${own}`) });
  });
};

/** THE table: what each operator does to cotangents. Operators it does not name are refused, never guessed. */
export const gradients = {
  Add: (_, __, dy) => [dy, dy],
  Sub: (b, _, dy) => [dy, b.neg(dy)],
  Mul: (b, { inputs: [p, q] }, dy) => [b.mul(dy, q), b.mul(dy, p)],
  Div: (b, { inputs: [, q], outputs: [y] }, dy) => [b.div(dy, q), b.neg(b.div(b.mul(dy, y), q))],
  Sum: (_, { inputs }, dy) => inputs.map(() => dy),
  Mean: (b, { inputs }, dy) => inputs.map(() => scaled(b, dy, 1 / inputs.length)),
  Max: taken,
  Min: taken,
  Pow: pow,

  Neg: (b, _, dy) => [b.neg(dy)],
  Abs: (b, { inputs: [x] }, dy) => [b.mul(dy, b.op("Sign", [x], x.shape))],
  Sqrt: (b, { outputs: [y] }, dy) => [b.div(scaled(b, dy, 0.5), y)],
  Reciprocal: (b, { outputs: [y] }, dy) => [b.neg(b.mul(dy, b.mul(y, y)))],
  Exp: (b, { outputs: [y] }, dy) => [b.mul(dy, y)],
  Log: (b, { inputs: [x] }, dy) => [b.div(dy, x)],
  Sin: (b, { inputs: [x] }, dy) => [b.mul(dy, b.cos(x))],
  Cos: (b, { inputs: [x] }, dy) => [b.neg(b.mul(dy, b.sin(x)))],
  Tanh: (b, { outputs: [y] }, dy) => [b.sub(dy, b.mul(dy, b.mul(y, y)))],
  Sigmoid: (b, { outputs: [y] }, dy) => [b.mul(dy, b.sub(y, b.mul(y, y)))],
  Erf: (b, { inputs: [x] }, dy) => [b.mul(dy, scaled(b, b.exp(b.neg(b.mul(x, x))), 2 / Math.sqrt(Math.PI)))],
  Relu: (b, { outputs: [y] }, dy) => [b.where(positive(b, y), dy, zero(b, dy))],
  Clip: (b, { inputs: [x], outputs: [y] }, dy) => [b.where(b.op("Equal", [x, y], y.shape, {}, "bool"), dy, zero(b, dy))],
  LeakyRelu: (b, { node, inputs: [x] }, dy) => [b.where(positive(b, x), dy, scaled(b, dy, attr.floatOf(node, "alpha", 0.01)))],
  Elu: (b, { node, inputs: [x], outputs: [y] }, dy) => [
    b.where(positive(b, x), dy, b.mul(dy, shifted(b, y, attr.floatOf(node, "alpha", 1)))),
  ],
  Softplus: (b, { inputs: [x] }, dy) => [b.mul(dy, b.sigmoid(x))],
  Where: (b, { inputs: [condition] }, dy) => [null, b.where(condition, dy, zero(b, dy)), b.where(condition, zero(b, dy), dy)],
  Softmax: (b, { node, inputs: [x], outputs: [y] }, dy) => [b.mul(y, b.sub(dy, b.reduceSum(b.mul(dy, y), [axisOf(node, x, -1)])))],
  LogSoftmax: (b, { node, inputs: [x], outputs: [y] }, dy) => [b.sub(dy, b.mul(b.exp(y), b.reduceSum(dy, [axisOf(node, x, -1)])))],

  MatMul: matMul,
  Gemm: gemmRule,
  Einsum: einsum,

  Identity: passed,
  Dropout: passed,
  Expand: passed,
  Cast: (b, { inputs: [x] }, dy) => [onto(b, dy, x)],
  CastLike: (b, { inputs: [x] }, dy) => [onto(b, dy, x), null],
  Reshape: restored,
  Flatten: restored,
  Squeeze: restored,
  Unsqueeze: restored,
  Transpose: (b, { node, inputs: [x] }, dy) => {
    const perm = attr.intsOf(node, "perm") ?? [...x.shape.keys()].reverse();
    return [
      b.transpose(
        dy,
        perm.map((_, i) => perm.indexOf(i)),
      ),
    ];
  },
  Trilu: (b, { node, inputs: [, k] }, dy) => [b.op("Trilu", [dy, ...(k ? [k] : [])], dy.shape, node.attributes), null],
  Tile: tile,
  Slice: slice,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherND,
  Split: (b, { node, inputs: [x] }, ...dys) => [b.concat(dys, axisOf(node, x, 0))],
  Concat: (b, { node, inputs }, dy) => {
    const axis = axisOf(node, dy, 0);
    const sizes = inputs.map((x) => x.shape[axis] as number);
    // An empty part, such as a cache of length 0, takes nothing; a Split into empty parts is not for every provider.
    const full = sizes.filter((n) => n > 0);
    const parts = full.length === 1 ? [dy] : b.split(dy, full, axis);
    return sizes.map((n) => (n > 0 ? (parts.shift() as Value) : null));
  },

  ReduceSum: (b, primal, dy) => [spread(b, primal, dy)],
  ReduceMean: (b, primal, dy) => [spread(b, primal, scaled(b, dy, sizeOf(dy.shape) / sizeOf(primal.inputs[0].shape)))],

  ReduceSumSquare: (b, primal, dy) => [scaled(b, b.mul(primal.inputs[0], spread(b, primal, dy)), 2)],
  ReduceL2: (b, primal, dy) => [b.mul(primal.inputs[0], spread(b, primal, b.div(dy, primal.outputs[0])))],
  ReduceMax: extreme,
  ReduceMin: extreme,

  And: notDifferentiable,
  ArgMax: notDifferentiable,
  ArgMin: notDifferentiable,
  Ceil: notDifferentiable,
  Constant: notDifferentiable,
  ConstantOfShape: notDifferentiable,
  Equal: notDifferentiable,
  EyeLike: notDifferentiable,
  Floor: notDifferentiable,
  Greater: notDifferentiable,
  GreaterOrEqual: notDifferentiable,
  IsInf: notDifferentiable,
  IsNaN: notDifferentiable,
  Less: notDifferentiable,
  LessOrEqual: notDifferentiable,
  NonZero: notDifferentiable,
  Not: notDifferentiable,
  OneHot: notDifferentiable,
  Or: notDifferentiable,
  Range: notDifferentiable,
  Round: notDifferentiable,
  Shape: notDifferentiable,
  Sign: notDifferentiable,
  Size: notDifferentiable,
  Xor: notDifferentiable,
} satisfies Record<string, GradientRule | typeof notDifferentiable>;

export type GradientTable = Readonly<Record<string, GradientRule | typeof notDifferentiable>>;
