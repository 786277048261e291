import * as attr from "../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { type Node, sizeOf } from "../onnx/ir.ts";
import { gemm, onto, scaled, shifted } from "./arithmetic.ts";
import { fusedAttention, groupQueryAttention, multiHeadAttention, standardAttention } from "./attention-operators.ts";
import type { Primal } from "./gradients.ts";
import { layerNorm, normOf, rmsNorm } from "./normalization.ts";
import { refuse } from "./refuse.ts";
import { contribRotaryEmbedding, positionsFrom, rotaryEmbedding } from "./rotary.ts";

/** A compound operator in terms of primitives: the value of each of its outputs; null, or nothing, where there is none. */
export type LoweringRule = (b: GraphBuilder, primal: Primal) => readonly (Value | null)[];

const optional = (primal: Primal, i: number): Value | null => (primal.inputs as readonly (Value | null | undefined)[])[i] ?? null;
const plus = (b: GraphBuilder, x: Value, term: Value | null): Value => (term ? b.add(x, term) : x);
const inverse = (b: GraphBuilder, x: Value): Value => b.div(onto(b, b.scalar(1), x), x);

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

const rms: LoweringRule = (b, { node, inputs: [x, scale] }) => {
  const { y, deviation } = rmsNorm(b, x, scale, normOf(node, x, 1e-5));
  return [y, node.outputs[1] ? inverse(b, deviation) : null];
};

/** The norm of `input + skip + bias`, and that sum, which carries on as the residual stream. */
const skipNorm =
  (norm: (b: GraphBuilder, sum: Value, primal: Primal) => Value, biasAt: number): LoweringRule =>
  (b, primal) => {
    const [x, skip] = primal.inputs;
    const sum = plus(b, b.add(x, skip), optional(primal, biasAt));
    return [norm(b, sum, primal), null, null, sum];
  };

const fusedMatMul: LoweringRule = (b, { node, inputs: [p, q] }) => {
  const is = (name: string) => attr.intOf(node, name, 0) === 1;
  const [transA, transB, alpha] = [is("transA"), is("transB"), attr.floatOf(node, "alpha", 1)];
  const plain = q.shape.length === 2 && p.shape.length >= 2 && !transA && !is("transBatchA");
  if (plain) {
    // A weight is read as it lies: nothing stands between it and the activations.
    const product = gemm(b, b.reshape(p, [sizeOf(p.shape.slice(0, -1)), p.shape.at(-1) as number]), q, { transB, alpha });
    return [b.reshape(product, [...p.shape.slice(0, -1), product.shape[1] as number])];
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

/** The sum of token, position and segment embeddings, and its norm. Its mask counts tokens, which nothing here needs. */
const embedNorm: LoweringRule = (b, primal) => {
  const [tokens, segments, words] = primal.inputs;
  const [positionTable, segmentTable, gamma, beta] = [3, 4, 5, 6].map((i) => optional(primal, i)) as [Value, Value | null, Value, Value];
  const at = optional(primal, 8) ?? positionsFrom(b, 0, tokens.shape[1] as number);
  const placed = b.add(b.gather(words, tokens), b.gather(positionTable, at));
  const sum = segmentTable ? b.add(placed, b.gather(segmentTable, segments)) : placed;
  return [layerNorm(b, sum, gamma, beta, lastAxis(primal.node, sum)).y, null, sum];
};

const lastAxis = (node: Node, x: Value) => ({ axes: [x.shape.length - 1], epsilon: attr.floatOf(node, "epsilon", 1e-12) });

/** THE table of compound operators. What it makes of them is all in the gradient table. */
export const lowering = {
  LayerNormalization: (b, primal) => {
    const [x, scale] = primal.inputs;
    const { y, centre, deviation } = layerNorm(b, x, scale, optional(primal, 2), normOf(primal.node, x, 1e-5));
    return [y, centre, primal.node.outputs[2] ? inverse(b, deviation) : null];
  },
  SimplifiedLayerNormalization: rms,
  RMSNormalization: rms,
  "com.microsoft::SkipLayerNormalization": skipNorm(
    (b, sum, primal) => layerNorm(b, sum, primal.inputs[2], optional(primal, 3), lastAxis(primal.node, sum)).y,
    4,
  ),
  "com.microsoft::SkipSimplifiedLayerNormalization": skipNorm(
    (b, sum, primal) => rmsNorm(b, sum, primal.inputs[2], lastAxis(primal.node, sum)).y,
    3,
  ),
  "com.microsoft::EmbedLayerNormalization": embedNorm,

  Gelu: (b, { node, inputs: [x] }) => [(attr.stringOf(node, "approximate") === "tanh" ? tanhGelu : gelu)(b, x)],
  "com.microsoft::Gelu": (b, { inputs: [x] }) => [gelu(b, x)],
  "com.microsoft::BiasGelu": (b, { inputs: [x, bias] }) => [gelu(b, b.add(x, bias))],
  "com.microsoft::FastGelu": (b, primal) => [tanhGelu(b, plus(b, primal.inputs[0], optional(primal, 1)))],
  "com.microsoft::QuickGelu": swish(1.702),
  Swish: swish(1),

  "com.microsoft::FusedMatMul": fusedMatMul,
  "com.microsoft::TransposeMatMul": fusedMatMul,
  "com.microsoft::FusedGemm": fusedGemm,

  RotaryEmbedding: rotaryEmbedding,
  "com.microsoft::RotaryEmbedding": contribRotaryEmbedding,
  Attention: standardAttention,
  "com.microsoft::Attention": fusedAttention,
  "com.microsoft::MultiHeadAttention": multiHeadAttention,
  "com.microsoft::GroupQueryAttention": groupQueryAttention,
} satisfies Record<string, LoweringRule>;

export type LoweringTable = Readonly<Record<string, LoweringRule>>;
