import * as attr from "../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../onnx/builder.ts";
import type { Node } from "../onnx/ir.ts";
import { constantNumber, onto, optional, plus, positive, scaled, shifted, zero } from "./arithmetic.ts";
import { elementwise } from "./axis-rules.ts";
import type { GradientRule, LoweringRule, Operator } from "./operator.ts";

/** An operator whose results follow from the entries at their place in the operands, and from no others. */
const pointwise = (gradient: Operator["gradient"], more: Partial<Operator> = {}): Operator => ({
  gradient,
  axes: elementwise,
  tokenWise: true,
  ...more,
});
/** One that may write its results over what it reads. */
const inPlace = (gradient: Operator["gradient"], more: Partial<Operator> = {}): Operator => pointwise(gradient, { inPlace: true, ...more });
const compound = (lower: LoweringRule): Operator => pointwise({ lower });

/** Max and Min: to the input that was taken, in equal shares where several tie. */
const taken: GradientRule = (b, { inputs, outputs: [y] }, dy) => {
  const wins = inputs.map((x) => onto(b, b.op("Equal", [x, y], y.shape, {}, "bool"), dy));
  const share = b.div(dy, wins.reduce(b.add));
  return wins.map((w) => b.mul(share, w));
};

/** x^(k-1) k, with k = 2 (the square of every norm) spared a power. */
const pow: GradientRule = (b, { inputs: [x, k], outputs: [y] }, dy) => {
  const constant = constantNumber(b, k);
  const slope = constant === 2 ? scaled(b, x, 2) : b.mul(k, b.pow(x, shifted(b, k, -1)));
  return [b.mul(dy, slope), constant === undefined ? b.mul(dy, b.mul(y, b.log(x))) : null];
};

/** `low < value < high`, both of them constants: where a piecewise linear function has its slope. */
const within = (b: GraphBuilder, x: Value, low: number, high: number): Value =>
  b.op("And", [positive(b, shifted(b, x, -low)), positive(b, shifted(b, b.neg(x), high))], x.shape, {}, "bool");

/** max(0, min(1, alpha x + beta)). */
const hardSigmoid: GradientRule = (b, { node, outputs: [y] }, dy) => [
  b.where(within(b, y, 0, 1), scaled(b, dy, attr.floatOf(node, "alpha", 0.2)), zero(b, dy)),
];

/** x Phi(x). (Hendrycks and Gimpel 2016, arXiv 1606.08415) */
const gelu = (b: GraphBuilder, x: Value): Value =>
  b.mul(scaled(b, x, 0.5), shifted(b, b.op("Erf", [scaled(b, x, Math.SQRT1_2)], x.shape), 1));

/** x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), from the same paper. */
const tanhGelu = (b: GraphBuilder, x: Value): Value => {
  const cubic = b.mul(x, shifted(b, scaled(b, b.mul(x, x), 0.044715), 1));
  return b.mul(scaled(b, x, 0.5), shifted(b, b.tanh(scaled(b, cubic, Math.sqrt(2 / Math.PI))), 1));
};

const swish =
  (alpha: number): LoweringRule =>
  (b, { node, inputs: [x] }) => [b.mul(x, b.sigmoid(scaled(b, x, attr.floatOf(node, "alpha", alpha))))];

/** Sum of many as additions of two, from left to right. */
const unfusedSum = (node: Node): readonly Node[] => {
  const [first = "", ...others] = node.inputs;
  if (others.length === 0) return [{ ...node, opType: "Identity" }];
  const last = others.length - 1;
  return others.map((term, i) => ({
    ...node,
    name: i === last ? node.name : `${node.name}/${i}`,
    opType: "Add",
    inputs: [i === 0 ? first : `${node.outputs[0]}/${i - 1}`, term],
    outputs: [i === last ? (node.outputs[0] as string) : `${node.outputs[0]}/${i}`],
  }));
};

const none = pointwise("none");

export const elementwiseOperators = {
  Add: inPlace((_, __, dy) => [dy, dy], { adds: true, weights: "element" }),
  Sub: inPlace((b, _, dy) => [dy, b.neg(dy)], { weights: "element" }),
  Mul: inPlace((b, { inputs: [p, q] }, dy) => [b.mul(dy, q), b.mul(dy, p)], { weights: "element" }),
  Div: inPlace((b, { inputs: [, q], outputs: [y] }, dy) => [b.div(dy, q), b.neg(b.div(b.mul(dy, y), q))], { weights: "element" }),
  Sum: pointwise((_, { inputs }, dy) => inputs.map(() => dy), { unfused: unfusedSum }),
  Mean: pointwise((b, { inputs }, dy) => inputs.map(() => scaled(b, dy, 1 / inputs.length))),
  Max: pointwise(taken),
  Min: pointwise(taken),
  Pow: pointwise(pow),
  Mod: pointwise("unknown"),

  Neg: inPlace((b, _, dy) => [b.neg(dy)]),
  Abs: inPlace((b, { inputs: [x] }, dy) => [b.mul(dy, b.op("Sign", [x], x.shape))]),
  Sqrt: inPlace((b, { outputs: [y] }, dy) => [b.div(scaled(b, dy, 0.5), y)]),
  Reciprocal: inPlace((b, { outputs: [y] }, dy) => [b.neg(b.mul(dy, b.mul(y, y)))]),
  Exp: inPlace((b, { outputs: [y] }, dy) => [b.mul(dy, y)]),
  Log: pointwise((b, { inputs: [x] }, dy) => [b.div(dy, x)]),
  Sin: pointwise((b, { inputs: [x] }, dy) => [b.mul(dy, b.cos(x))]),
  Cos: pointwise((b, { inputs: [x] }, dy) => [b.neg(b.mul(dy, b.sin(x)))]),
  Tanh: inPlace((b, { outputs: [y] }, dy) => [b.sub(dy, b.mul(dy, b.mul(y, y)))]),
  Sigmoid: inPlace((b, { outputs: [y] }, dy) => [b.mul(dy, b.sub(y, b.mul(y, y)))]),
  Erf: inPlace((b, { inputs: [x] }, dy) => [b.mul(dy, scaled(b, b.exp(b.neg(b.mul(x, x))), 2 / Math.sqrt(Math.PI)))]),
  Relu: inPlace((b, { outputs: [y] }, dy) => [b.where(positive(b, y), dy, zero(b, dy))]),
  Clip: pointwise((b, { inputs: [x], outputs: [y] }, dy) => [b.where(b.op("Equal", [x, y], y.shape, {}, "bool"), dy, zero(b, dy))]),
  LeakyRelu: pointwise((b, { node, inputs: [x] }, dy) => [b.where(positive(b, x), dy, scaled(b, dy, attr.floatOf(node, "alpha", 0.01)))]),
  Elu: pointwise((b, { node, inputs: [x], outputs: [y] }, dy) => [
    b.where(positive(b, x), dy, b.mul(dy, shifted(b, y, attr.floatOf(node, "alpha", 1)))),
  ]),
  Softplus: pointwise((b, { inputs: [x] }, dy) => [b.mul(dy, b.sigmoid(x))]),
  HardSigmoid: pointwise(hardSigmoid),
  Where: pointwise((b, { inputs: [condition] }, dy) => [null, b.where(condition, dy, zero(b, dy)), b.where(condition, zero(b, dy), dy)]),

  /** x max(0, min(1, x/6 + 1/2)). (Howard et al. 2019, arXiv 1905.02244) */
  HardSwish: compound((b, { inputs: [x] }) => [
    b.mul(x, b.op("HardSigmoid", [x], x.shape, { alpha: attr.float(1 / 6), beta: attr.float(0.5) })),
  ]),
  /** x tanh(softplus(x)). (Misra 2019, arXiv 1908.08681) */
  Mish: compound((b, { inputs: [x] }) => [b.mul(x, b.tanh(b.op("Softplus", [x], x.shape)))]),
  Gelu: compound((b, { node, inputs: [x] }) => [(attr.stringOf(node, "approximate") === "tanh" ? tanhGelu : gelu)(b, x)]),
  Swish: compound(swish(1)),
  "com.microsoft::Gelu": compound((b, { inputs: [x] }) => [gelu(b, x)]),
  "com.microsoft::BiasGelu": compound((b, { inputs: [x, bias] }) => [gelu(b, b.add(x, bias))]),
  "com.microsoft::FastGelu": compound((b, primal) => [tanhGelu(b, plus(b, primal.inputs[0], optional(primal, 1)))]),
  "com.microsoft::QuickGelu": compound(swish(1.702)),

  Dropout: pointwise((_, __, dy) => [dy]),
  Cast: pointwise((b, { inputs: [x] }, dy) => [onto(b, dy, x)], { moves: { steps: null, converts: true } }),
  CastLike: pointwise((b, { inputs: [x] }, dy) => [onto(b, dy, x), null]),

  And: none,
  Ceil: none,
  Equal: none,
  Floor: none,
  Greater: none,
  GreaterOrEqual: none,
  IsInf: none,
  IsNaN: none,
  Less: none,
  LessOrEqual: none,
  Not: none,
  Or: none,
  Round: none,
  Sign: none,
  Xor: none,
} satisfies Record<string, Operator>;
