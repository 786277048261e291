import { numberAt } from "../number-at.ts";
import * as attr from "../onnx/attributes.ts";
import { type GraphBuilder, normalizeAxis, type Value } from "../onnx/builder.ts";
import { dataTypes, sizeAt, sizeOf } from "../onnx/ir.ts";
import { axisOf, onto } from "./arithmetic.ts";
import { type Axis, concatenation, leaf } from "./axis.ts";
import { type AxisRule, type Call, pick } from "./axis-rules.ts";
import type { GradientRule, Operator, Resized, ShapesAfter } from "./operator.ts";
import { refuse } from "./refuse.ts";

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
  return b.matMul(onto(b, b.op("Equal", [ids, at], [rows, sizeAt(at.shape, 1)], {}, "bool"), dy), dy);
}

const gather: GradientRule = (b, { node, inputs: [data, indices] }, dy) => {
  const axis = axisOf(node, data, 0);
  const rows = sizeAt(data.shape, axis);
  const n = sizeOf(indices.shape);
  const [before, after] = [sizeOf(data.shape.slice(0, axis)), sizeOf(data.shape.slice(axis + 1))];
  const at = counted(b, b.reshape(indices, [1, n]), b.ints([rows]));
  return [b.reshape(addedUp(b, at, rows, b.reshape(dy, [before, n, after])), data.shape), null];
};

/** Each index names a place on the first axes, whose places are counted here as rows of one. */
const gatherND: GradientRule = (b, { node, inputs: [data, indices] }, dy) => {
  if (attr.intOf(node, "batch_dims", 0) !== 0) return refuse(node, "GatherND by batches has no gradient rule");
  const width = sizeAt(indices.shape, -1);
  const n = sizeOf(indices.shape) / width;
  const sizes = data.shape.slice(0, width);
  const places = counted(b, b.reshape(indices, [n, width]), b.ints(sizes));
  const strides = sizes.map((_, i) => sizeOf(sizes.slice(i + 1)));
  const at = b.reshape(b.reduceSum(b.mul(places, b.ints(strides)), [1]), [1, n]);
  return [b.reshape(addedUp(b, at, sizeOf(sizes), b.reshape(dy, [1, n, sizeOf(data.shape.slice(width))])), data.shape), null];
};

/** Each element was read at the place that its own index names on one axis; the other places it has in common with its index. */
export const takenAlong = (b: GraphBuilder, data: Value, indices: Value, axis: number, dy: Value): Value => {
  const rows = sizeAt(data.shape, axis);
  const [before, after] = [indices.shape.slice(0, axis), indices.shape.slice(axis + 1)];
  const spread = (v: Value) => b.reshape(v, [...before, 1, sizeAt(indices.shape, axis), ...after]);
  const ids = b.ints([...Array(rows).keys()], [rows, 1, ...after.map(() => 1)]);
  const at = spread(counted(b, indices, b.ints([rows])));
  const wins = b.op("Equal", [ids, at], [...before, rows, sizeAt(indices.shape, axis), ...after], {}, "bool");
  const summed = b.reduceSum(b.mul(onto(b, wins, dy), spread(dy)), [axis + 1], false);
  // Indices may leave out the ends of the other axes.
  const missing = data.shape.map((d, i) => d - sizeAt(summed.shape, i));
  if (missing.every((m) => m === 0)) return summed;
  return b.op("Pad", [summed, b.ints([...missing.map(() => 0), ...missing])], data.shape);
};

const gatherElements: GradientRule = (b, { node, inputs: [data, indices] }, dy) => [
  takenAlong(b, data, indices, axisOf(node, data, 0), dy),
  null,
];

/** Looking up by the text needs every entry of the table; one place known beforehand is a cut. */
function lookedUp(call: Call, axis: Axis): void {
  const [index, ...more] = call.ints(1) ?? [];
  if (index === undefined || more.length > 0) call.freeze([axis]);
  else {
    const before = index < 0 ? index + axis.size : index;
    call.same(axis, concatenation([leaf(before), leaf(1), leaf(axis.size - before - 1)]));
  }
}

const gatherAxes: AxisRule = (call) => {
  const [x, indices, y] = [pick(call, "x", 0), pick(call, "x", 1), pick(call, "y", 0)];
  const at = normalizeAxis(attr.intOf(call.node, "axis", 0), x.length);
  for (const [i, a] of x.entries()) if (i !== at) call.same(a, y[i < at ? i : i + indices.length - 1]);
  for (const [i, a] of indices.entries()) call.same(a, y[at + i]);
  lookedUp(call, x[at] as Axis);
};

/** Places on the first axes, told by the last axis of the indices. */
const gatherNDAxes: AxisRule = (call) => {
  const [x, indices, y] = [pick(call, "x", 0), pick(call, "x", 1), pick(call, "y", 0)];
  const batches = attr.intOf(call.node, "batch_dims", 0);
  const lead = indices.length - 1;
  const [first, ...more] = x.slice(batches, batches + (indices[lead]?.size ?? 0));
  for (let i = 0; i < lead; i++) call.same(indices[i], y[i]);
  for (let i = 0; i < batches; i++) call.same(x[i], y[i]);
  for (const [i, a] of x.slice(batches + 1 + more.length).entries()) call.same(a, y[lead + i]);
  if (first && more.length === 0) lookedUp(call, first);
  else call.freeze([first, ...more]);
};

/** Entries of an axis that the second input names: they can go with those that it chooses from, if these are known. */
export function takenFrom(call: Call, axis: Axis | undefined): void {
  const of = call.placesOf(1);
  if (of) {
    call.same(of, axis);
    call.weigh([axis]);
  } else call.freeze([axis]);
}

/** Elements of the indices' shape, from anywhere on one axis. */
const gatherElementsAxes: AxisRule = (call) => {
  const [x, indices, y] = [pick(call, "x", 0), pick(call, "x", 1), pick(call, "y", 0)];
  const at = normalizeAxis(attr.intOf(call.node, "axis", 0), x.length);
  for (const [i, a] of indices.entries()) call.same(a, y[i]);
  takenFrom(call, x[at]);
  for (const [i, a] of x.entries())
    if (i !== at) {
      if (a.size === y[i]?.size) call.same(a, y[i]);
      else call.freeze([a, y[i]]);
    }
};

/** One place known beforehand moves with the entries before it; places chosen by the text are of an axis that stays whole. */
const placeAfter =
  (axis: (r: Resized) => number): ShapesAfter =>
  (r) => {
    const index = r.ints(1);
    return index?.length === 1 && numberAt(index, 0) >= 0 ? [[1, [r.moved(axis(r), numberAt(index, 0))]]] : [];
  };

/** Entries of the first input, a table, are chosen by the second. */
const table = (gradient: GradientRule, axes: AxisRule, more: Partial<Operator>): Operator => ({
  gradient,
  axes,
  tokenWise: false,
  weights: "table",
  ...more,
});

export const lookups = {
  Gather: table(gather, gatherAxes, {
    tokenWise: true,
    shapeOperands: [1],
    shapesAfter: placeAfter((r) => normalizeAxis(attr.intOf(r.node, "axis", 0), r.before.length)),
    contribution: (f, { primal, inputIndex, dy }) => {
      const { node, inputs } = primal;
      const [rows, indices] = inputs;
      if (inputIndex !== 0 || rows.shape.length !== 2 || attr.intOf(node, "axis", 0) !== 0) return null;
      return { left: f.lookup(indices, sizeAt(rows.shape, 0)), right: f.factor(dy) };
    },
  }),
  GatherND: table(gatherND, gatherNDAxes, { shapeOperands: [1], shapesAfter: placeAfter((r) => attr.intOf(r.node, "batch_dims", 0)) }),
  GatherElements: table(gatherElements, gatherElementsAxes, { mixesAlong: (node) => attr.intOf(node, "axis", 0) }),
} satisfies Record<string, Operator>;
