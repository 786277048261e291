import * as attr from "../onnx/attributes.ts";
import type { Value } from "../onnx/builder.ts";
import { type Node, sizeAt, sizeOf } from "../onnx/ir.ts";
import { gemm, scaled } from "./arithmetic.ts";
import type { Axis } from "./axis.ts";
import { type AxisRule, broadcast, freezesAll, pick } from "./axis-rules.ts";
import type { Contribution, Factors, GradientRule, LoweringRule, Operator, Use } from "./operator.ts";
import { refuse } from "./refuse.ts";

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
  const g = b.reshape(dy, [...batch, sizeAt(left.shape, -2), sizeAt(right.shape, -1)]);
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

/** The operands' letters, and those of the result, if they are stated. */
const equationOf = (node: Node): readonly string[] => (attr.stringOf(node, "equation") ?? "").replaceAll(" ", "").split("->");

/**
 * Every input by the product of `dy` with the others, its own indices being what is left. An index of one input alone, or
 * twice in one, is not asked for by any exporter.
 */
const einsum: GradientRule = (b, { node, inputs }, dy) => {
  const [left = "", right = ""] = equationOf(node);
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

const matMulAxes: AxisRule = (call) => {
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

const gemmAxes: AxisRule = (call) => {
  const turned = (i: number, attribute: string) => {
    const axes = pick(call, "x", i);
    return attr.intOf(call.node, attribute, 0) === 1 ? [...axes].reverse() : axes;
  };
  const [a, b, y] = [turned(0, "transA"), turned(1, "transB"), pick(call, "y", 0)];
  call.same(a[0], y[0]);
  call.same(a[1], b[0]);
  call.same(b[1], y[1]);
  broadcast(call, pick(call, "x", 2), y);
};

/** Of ONNX Runtime's products, operands may be turned, their batch axis too, which nobody exports. */
const fusedMatMulAxes: AxisRule = (call) => {
  const is = (name: string) => attr.intOf(call.node, name, 0) === 1;
  if (is("transBatchA") || is("transBatchB")) return freezesAll(call);
  const turned = (axes: readonly Axis[], last: boolean) =>
    last && axes.length > 1 ? [...axes.slice(0, -2), ...axes.slice(-2).reverse()] : axes;
  matMulAxes({ ...call, x: [turned(pick(call, "x", 0), is("transA")), turned(pick(call, "x", 1), is("transB"))] });
};

/** Axes with one letter are one axis. */
const einsumAxes: AxisRule = (call) => {
  const [left = "", right] = equationOf(call.node);
  const operands = [...left.split(",").map((term, i) => [term, pick(call, "x", i)] as const), [right ?? "", pick(call, "y", 0)] as const];
  if (right === undefined || operands.some(([term, axes]) => term.length !== axes.length || term.includes("."))) return freezesAll(call);
  const known = new Map<string, Axis>();
  for (const [term, axes] of operands)
    for (const [i, index] of [...term].entries()) {
      call.same(known.get(index), axes[i]);
      known.set(index, known.get(index) ?? (axes[i] as Axis));
    }
};

/** `x w`, where `w` is a matrix. */
const matMulWeight = (_: Node, input: number): number | null => (input === 1 ? 0 : null);
const gemmWeight = (node: Node, input: number): number | null => {
  if (input !== 1 || attr.intOf(node, "transA", 0) === 1) return null;
  return attr.intOf(node, "transB", 0) === 1 ? 1 : 0;
};

/** Of matrices side by side, [E, I, O], each for its own rows of all tokens: sample by sample [S, E, I, O]. */
function sideBySide({ b, samples }: Factors, x: Value, w: Value, dy: Value): Contribution | null {
  const [E, I, O] = w.shape as [number, number, number];
  const rows = sizeAt(dy.shape, -2);
  if (dy.shape.length !== 3 || rows % samples !== 0) return null;
  const each = (v: Value, width: number, perm: readonly number[]) =>
    b.transpose(b.reshape(b.expand(v, [E, rows, width]), [E, samples, rows / samples, width]), perm);
  return { gradient: b.matMul(each(x, I, [1, 0, 3, 2]), each(dy, O, [1, 0, 2, 3])) };
}

const matMulContribution = (f: Factors, { primal, inputIndex, dy }: Use): Contribution | null => {
  const [x, w] = primal.inputs;
  if (inputIndex === 1 && w.shape.length === 3) return sideBySide(f, x, w, dy);
  return inputIndex === 1 && w.shape.length === 2 ? { left: f.factor(x), right: f.factor(dy) } : null;
};

const gemmContribution = (f: Factors, { primal, inputIndex, dy }: Use): Contribution | null => {
  const { node, inputs } = primal;
  if (inputIndex !== 1 || attr.intOf(node, "transA", 0) === 1) return null;
  const [x, y] = [f.factor(inputs[0]), f.factor(scaled(f.b, dy, attr.floatOf(node, "alpha", 1)))];
  return attr.intOf(node, "transB", 0) === 1 ? { left: y, right: x } : { left: x, right: y };
};

const fusedMatMul: LoweringRule = (b, { node, inputs: [p, q] }) => {
  const is = (name: string) => attr.intOf(node, name, 0) === 1;
  const [transA, transB, alpha] = [is("transA"), is("transB"), attr.floatOf(node, "alpha", 1)];
  const plain = q.shape.length === 2 && p.shape.length >= 2 && !transA && !is("transBatchA");
  if (plain) {
    // A weight is read as it lies: nothing stands between it and the activations.
    const product = gemm(b, b.reshape(p, [sizeOf(p.shape.slice(0, -1)), sizeAt(p.shape, -1)]), q, { transB, alpha });
    return [b.reshape(product, [...p.shape.slice(0, -1), sizeAt(product.shape, 1)])];
  }
  const turned = (v: Value, batch: boolean, last: boolean) => {
    const rank = v.shape.length;
    const axes = [...v.shape.keys()];
    const outer = batch ? [...axes.slice(1, -1), 0, rank - 1] : axes;
    const perm = last && rank > 1 ? [...outer.slice(0, -2), ...outer.slice(-2).reverse()] : outer;
    return perm.every((a, i) => a === i) ? v : b.transpose(v, perm);
  };
  if (p.shape.length < 2 || q.shape.length < 2) return refuse(node, "FusedMatMul of vectors has no lowering");
  return [scaled(b, b.matMul(turned(p, is("transBatchA"), transA), turned(q, is("transBatchB"), transB)), alpha)];
};

/** Activations that a product may carry with it, by the name of their operator. */
const activations = new Set(["Relu", "Tanh", "Sigmoid"]);

const fusedGemm: LoweringRule = (b, { node, inputs, outputs: [y] }) => {
  const { activation: _, ...attributes } = node.attributes;
  const activation = attr.stringOf(node, "activation") ?? "";
  if (!activations.has(activation)) return refuse(node, `FusedGemm with activation "${activation}" has no lowering`);
  return [b.op(activation, [b.op("Gemm", inputs, y.shape, attributes)], y.shape)];
};

const product = (gradient: Operator["gradient"], axes: AxisRule, more: Partial<Operator> = {}): Operator => ({
  gradient,
  axes,
  tokenWise: true,
  weights: "product",
  ...more,
});

export const products = {
  MatMul: product(matMul, matMulAxes, { summedAxis: matMulWeight, contribution: matMulContribution }),
  Gemm: product(gemmRule, gemmAxes, { summedAxis: gemmWeight, contribution: gemmContribution }),
  Einsum: product(einsum, einsumAxes, { tokenWise: false }),
  "com.microsoft::FusedMatMul": product({ lower: fusedMatMul }, fusedMatMulAxes),
  "com.microsoft::TransposeMatMul": product({ lower: fusedMatMul }, fusedMatMulAxes),
  "com.microsoft::FusedGemm": product({ lower: fusedGemm }, gemmAxes),
} satisfies Record<string, Operator>;
