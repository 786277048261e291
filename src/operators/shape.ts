import { numberAt } from "../number-at.ts";
import * as attr from "../onnx/attributes.ts";
import { type GraphBuilder, normalizeAxis, type Value } from "../onnx/builder.ts";
import { type Attribute, type Node, sizeAt, stridesOf } from "../onnx/ir.ts";
import { axisOf, integersIn, zero } from "./arithmetic.ts";
import { type Axis, concatenation, leaf, product } from "./axis.ts";
import { type AxisRule, broadcast, type Call, elementwise, freezesAll, mixing, pick, unrelated } from "./axis-rules.ts";
import type { CountsAfter, GradientRule, Operator, ShapesAfter } from "./operator.ts";

/** Undoes `start:end:step` along one axis of length `size`: what was not taken gets zeros. */
function unsliced(b: GraphBuilder, dy: Value, axis: number, size: number, start: number, step: number): Value {
  const count = sizeAt(dy.shape, axis);
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
    const size = sizeAt(x.shape, axis);
    const step = numberAt(steps, i);
    const start = numberAt(starts, i);
    const from = Math.min(Math.max(start < 0 ? start + size : start, 0), step < 0 ? size - 1 : size);
    return unsliced(b, d, axis, size, from, step);
  }, dy);
  return [whole];
};

/** Repeats along each axis are an axis of their own, summed. */
const tile: GradientRule = (b, { inputs: [x, repeatsOf] }, dy) => {
  const split = integersIn(b, repeatsOf).flatMap((n, i) => [n, sizeAt(x.shape, i)]);
  return [
    b.reduceSum(
      b.reshape(dy, split),
      [...x.shape.keys()].map((i) => 2 * i),
      false,
    ),
    null,
  ];
};

/** The same elements in the same order. */
const regroup: AxisRule = (call) => call.same(product(pick(call, "x", 0)), product(pick(call, "y", 0)));

const transposeAxes: AxisRule = (call) => {
  const [x, y] = [pick(call, "x", 0), pick(call, "y", 0)];
  const perm = attr.intsOf(call.node, "perm") ?? [...x.keys()].reverse();
  for (const [i, p] of perm.entries()) call.same(x[p], y[i]);
};

/** Tensors that are equal but along one axis, where the whole is the parts one after the other. */
function joined(call: Call, whole: readonly Axis[], parts: readonly (readonly Axis[])[], at: number): void {
  const axis = normalizeAxis(at, whole.length);
  call.same(whole[axis], concatenation(parts.map((p) => p[axis] as Axis)));
  for (const part of parts) for (const [i, a] of part.entries()) if (i !== axis) call.same(a, whole[i]);
}

const concat: GradientRule = (b, { node, inputs }, dy) => {
  const axis = axisOf(node, dy, 0);
  const sizes = inputs.map((x) => sizeAt(x.shape, axis));
  // An empty part, such as a cache of length 0, takes nothing; a Split into empty parts is not for every provider.
  const full = sizes.filter((n) => n > 0);
  const parts = full.length === 1 ? [dy] : b.split(dy, full, axis);
  return sizes.map((n) => (n > 0 ? (parts.shift() as Value) : null));
};

const concatAxes: AxisRule = (call) => joined(call, pick(call, "y", 0), call.x, attr.intOf(call.node, "axis", 0));
const splitAxes: AxisRule = (call) =>
  joined(
    call,
    pick(call, "x", 0),
    call.y.filter((y) => y.length > 0),
    attr.intOf(call.node, "axis", 0),
  );

const sliceAxes: AxisRule = (call) => {
  const [x, y] = [pick(call, "x", 0), pick(call, "y", 0)];
  const starts = attr.intsOf(call.node, "starts") ?? call.ints(1);
  const axes = attr.intsOf(call.node, "axes") ?? call.ints(3) ?? starts?.keys();
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

const tileAxes: AxisRule = (call) => {
  for (const [i, a] of pick(call, "x", 0).entries()) {
    const b = pick(call, "y", 0)[i] as Axis;
    call.same(b, product([leaf(b.size / a.size), a]));
  }
};

const tileAfter: ShapesAfter = (r) => {
  const repeats = r.ints(1);
  const [x = [], y = []] = [r.x[0], r.y[0]];
  return repeats && [[1, repeats.map((n, i) => (sizeAt(x, i) === 0 ? n : sizeAt(y, i) / sizeAt(x, i)))]];
};

/** Entries that are worked out from others stay as they are: -1 is what is left, 0 what the input has at that place. */
const reshapeAfter: ShapesAfter = (r) => {
  const [[x = [], y = []], shape] = [[r.x[0], r.y[0]], r.ints(1)];
  const worked = (d: number, i: number) => d === -1 || (d === 0 && x[i] === y[i]);
  return shape && [[1, shape.map((d, i) => (worked(d, i) ? d : numberAt(y, i)))]];
};

const expandAfter: ShapesAfter = (r) => {
  const shape = r.ints(1);
  const y = r.y[0] ?? [];
  return shape && [[1, shape.map((d, i) => (d === 1 ? 1 : (y[y.length - shape.length + i] ?? d)))]];
};

const splitAfter: ShapesAfter = (r) => {
  const at = normalizeAxis(attr.intOf(r.node, "axis", 0), r.before.length);
  if (r.node.inputs[1]) return r.ints(1) && [[1, r.y.map((y) => numberAt(y, at))]];
  return [];
};

const sliceAfter: ShapesAfter = (r) => {
  const [starts, ends] = [r.ints(1), r.ints(2)];
  if (!starts || !ends) return null;
  const axes = (attr.intsOf(r.node, "axes") ?? r.ints(3) ?? [...starts.keys()]).map((a) => normalizeAxis(a, r.before.length));
  /** A place in the axis, counted from where it was counted before; places beyond the end stay beyond. */
  const place = (position: number, i: number) => {
    const axis = numberAt(axes, i);
    const size = sizeAt(r.before, axis);
    if (position > size || position < -size) return position;
    return position < 0 ? r.moved(axis, size + position) - r.moved(axis, size) : r.moved(axis, position);
  };
  const steps = r.ints(4);
  // Of a stride the start is a place within it, which stays.
  const strided = (i: number) => (steps?.[i] ?? 1) !== 1;
  return [
    [1, starts.map((start, i) => (strided(i) ? start : place(start, i)))],
    [2, ends.map(place)],
  ];
};

const turnedSteps = (node: Node, from: readonly number[]): number[] => {
  const steps = stridesOf(from);
  return (attr.intsOf(node, "perm") ?? [...from.keys()].reverse()).map((p) => numberAt(steps, p));
};

const repeatedSteps = (_: Node, from: readonly number[], to: readonly number[]): number[] => {
  const steps = stridesOf(from);
  const missing = to.length - from.length;
  return to.map((_, i) => (i < missing || from[i - missing] === 1 ? 0 : numberAt(steps, i - missing)));
};

/** Before operator set 13 a Split is told its sizes in an attribute. */
const splitSizes: CountsAfter = (node, _, after): Readonly<Record<string, Attribute>> => {
  if (!node.attributes["split"]) return {};
  return { split: attr.ints(after.y.map((shape) => sizeAt(shape, attr.intOf(node, "axis", 0)))) };
};

const restored: GradientRule = (b, { inputs: [x] }, dy) => [b.reshape(dy, x.shape)];

/** The same elements in the same order. */
const regroups = (more: Partial<Operator> = {}): Operator => ({
  gradient: restored,
  axes: regroup,
  tokenWise: true,
  moves: { steps: null },
  ...more,
});

const stated: Operator = { gradient: "none", axes: unrelated, tokenWise: false };

export const shapeOperators = {
  Identity: { gradient: (_, __, dy) => [dy], axes: elementwise, tokenWise: true, moves: { steps: null } },
  Reshape: regroups({ shapeOperands: [1], shapesAfter: reshapeAfter }),
  Flatten: regroups(),
  Squeeze: regroups({ shapeOperands: [1] }),
  Unsqueeze: regroups({ shapeOperands: [1] }),
  Transpose: {
    gradient: (b, { node, inputs: [x] }, dy) => {
      const perm = attr.intsOf(node, "perm") ?? [...x.shape.keys()].reverse();
      return [
        b.transpose(
          dy,
          perm.map((_, i) => perm.indexOf(i)),
        ),
      ];
    },
    axes: transposeAxes,
    tokenWise: true,
    moves: { steps: turnedSteps },
  },
  Expand: {
    gradient: (_, __, dy) => [dy],
    axes: (call) => broadcast(call, pick(call, "x", 0), pick(call, "y", 0)),
    tokenWise: true,
    moves: { steps: repeatedSteps },
    shapeOperands: [1],
    shapesAfter: expandAfter,
  },
  Tile: { gradient: tile, axes: tileAxes, tokenWise: false, shapeOperands: [1], shapesAfter: tileAfter },
  Slice: { gradient: slice, axes: sliceAxes, tokenWise: true, cuts: true, shapeOperands: [1, 2, 3, 4], shapesAfter: sliceAfter },
  Split: {
    gradient: (b, { node, inputs: [x] }, ...dys) => [b.concat(dys, axisOf(node, x, 0))],
    axes: splitAxes,
    tokenWise: true,
    shapeOperands: [1],
    shapesAfter: splitAfter,
    countsAfter: splitSizes,
  },
  Concat: { gradient: concat, axes: concatAxes, tokenWise: true },
  Trilu: {
    gradient: (b, { node, inputs: [, k] }, dy) => [b.op("Trilu", [dy, ...(k ? [k] : [])], dy.shape, node.attributes), null],
    axes: mixing(() => [-2, -1]),
    tokenWise: false,
  },

  Constant: stated,
  ConstantOfShape: { ...stated, shapeOperands: [0], shapesAfter: (r) => r.ints(0) && [[0, r.y[0] ?? []]] },
  EyeLike: stated,
  Range: stated,
  Shape: { ...stated, readsShapeOnly: true },
  Size: { ...stated, readsShapeOnly: true },
  NonZero: { gradient: "none", axes: freezesAll, tokenWise: false },
} satisfies Record<string, Operator>;
