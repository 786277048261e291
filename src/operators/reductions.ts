import * as attr from "../onnx/attributes.ts";
import { type GraphBuilder, normalizeAxis, type Value } from "../onnx/builder.ts";
import { sizeOf } from "../onnx/ir.ts";
import { axisOf, integersIn, onto, scaled } from "./arithmetic.ts";
import { type AxisRule, type Call, fromAxis, mixing, pick, weighing } from "./axis-rules.ts";
import type { GradientRule, Operator, Primal } from "./operator.ts";

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

/** To the elements that are the extreme of their row, in equal shares where several tie. */
const extreme: GradientRule = (b, primal, dy) => {
  const wins = onto(b, b.op("Equal", [primal.inputs[0], spread(b, primal, primal.outputs[0])], primal.inputs[0].shape, {}, "bool"), dy);
  return [b.mul(wins, b.div(spread(b, primal, dy), b.expand(b.reduceSum(wins, reducedAxes(b, primal)), wins.shape)))];
};

/** Along one axis, from its beginning or its end; the other way round for what comes back. */
const cumulative: GradientRule = (b, { node, inputs: [, axis] }, dy) => {
  const reverse = attr.int(1 - attr.intOf(node, "reverse", 0));
  return [b.op("CumSum", [dy, axis], dy.shape, { ...node.attributes, reverse }), null];
};

/** Before operator set 13 a Softmax goes over all axes from its own on. */
const softmax = weighing((call, rank) => (call.opset >= 13 ? [attr.intOf(call.node, "axis", -1)] : fromAxis(1)(call, rank)));

const stated = (call: Call): readonly number[] | null => attr.intsOf(call.node, "axes") ?? call.ints(1);
const oneAxis = (call: Call): readonly number[] => [attr.intOf(call.node, "axis", 0)];

/** Where what comes of removing terms is what comes of setting them to zero, terms can go; other reductions depend on how many there are. */
const reducing =
  (termsCanGo: boolean, axesOf: (call: Call) => readonly number[] | null = stated): AxisRule =>
  (call) => {
    const [x, y] = [pick(call, "x", 0), pick(call, "y", 0)];
    const over = new Set((axesOf(call) ?? [...x.keys()]).map((a) => normalizeAxis(a, x.length)));
    const kept = [...x.keys()].filter((i) => !over.has(i));
    const keepsRank = y.length === x.length;
    for (const [j, i] of kept.entries()) call.same(x[i], y[keepsRank ? i : j]);
    if (!termsCanGo) call.freeze([...over].map((i) => x[i]));
  };

const sum = (gradient: GradientRule): Operator => ({ gradient, axes: reducing(true), tokenWise: true, shapeOperands: [1] });
const whole = (gradient: GradientRule): Operator => ({ gradient, axes: reducing(false), tokenWise: true, shapeOperands: [1] });
const place: Operator = { gradient: "none", axes: reducing(false, oneAxis), tokenWise: false };

export const reductions = {
  ReduceSum: { ...sum((b, primal, dy) => [spread(b, primal, dy)]), sums: true },
  ReduceSumSquare: sum((b, primal, dy) => [scaled(b, b.mul(primal.inputs[0], spread(b, primal, dy)), 2)]),
  ReduceL2: sum((b, primal, dy) => [b.mul(primal.inputs[0], spread(b, primal, b.div(dy, primal.outputs[0])))]),
  ReduceMean: whole((b, primal, dy) => [spread(b, primal, scaled(b, dy, sizeOf(dy.shape) / sizeOf(primal.inputs[0].shape)))]),
  ReduceMax: whole(extreme),
  ReduceMin: whole(extreme),
  ArgMax: place,
  ArgMin: place,

  Softmax: {
    gradient: (b, { node, inputs: [x], outputs: [y] }, dy) => [b.mul(y, b.sub(dy, b.reduceSum(b.mul(dy, y), [axisOf(node, x, -1)])))],
    axes: softmax,
    tokenWise: false,
    mixesAlong: (node) => attr.intOf(node, "axis", -1),
    inPlace: true,
  },
  LogSoftmax: {
    gradient: (b, { node, inputs: [x], outputs: [y] }, dy) => [b.sub(dy, b.mul(b.exp(y), b.reduceSum(dy, [axisOf(node, x, -1)])))],
    axes: softmax,
    tokenWise: false,
    mixesAlong: (node) => attr.intOf(node, "axis", -1),
    inPlace: true,
  },
  CumSum: {
    gradient: cumulative,
    axes: mixing((call, rank) => call.ints(1) ?? [...Array(rank).keys()]),
    tokenWise: false,
    shapeOperands: [1],
  },
} satisfies Record<string, Operator>;
