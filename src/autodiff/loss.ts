import * as attr from "../onnx/attributes.ts";
import { type GraphBuilder, type Value } from "../onnx/builder.ts";
import { dataTypes } from "../onnx/ir.ts";
import { onto } from "../operators/arithmetic.ts";

export interface Loss {
  /** [B] float32: mean negative log-likelihood (nats per token) of each view, with the sign of its weights left out. */
  readonly losses: Value;
  /** [B, T, V], of the logits' type: gradient of the signed sum of all token losses. */
  readonly dLogits: Value;
}

/** Logits by place [B, R, V]: those of whole texts [B, V] are of one place each. */
const byPlace = (b: GraphBuilder, logits: Value): Value => {
  const [batch, V] = logits.shape as [number, number];
  return logits.shape.length === 2 ? b.reshape(logits, [batch, 1, V]) : logits;
};

/**
 * Token-weighted cross-entropy, in float32 whatever the model's type: for each view `sum_t |w_t| (-log softmax(z_t)[target_t])`.
 *
 * @param logits [B, T, V]; or [B, V], of texts: then T is 1
 * @param targets [B, T] int64; any valid token where the weight is 0
 * @param weights [B, T] float32
 * @returns losses [B], and what they were computed from: log-probabilities [B, T, V] and those of the targets [B, T, 1]
 */
export function crossEntropy(
  b: GraphBuilder,
  logits: Value,
  targets: Value,
  weights: Value,
): Pick<Loss, "losses"> & { readonly logP: Value; readonly logPTarget: Value } {
  const z = byPlace(b, logits);
  const [batch, tokens] = z.shape as [number, number, number];
  const logP = b.logSoftmax(b.cast(z, "float32", dataTypes.float32.onnx));
  const logPTarget = b.gatherElements(logP, b.reshape(targets, [batch, tokens, 1]), -1);
  const losses = b.neg(b.reduceSum(b.mul(b.reshape(logPTarget, [batch, tokens]), b.abs(weights)), [1], false));
  return { losses, logP, logPTarget };
}

/**
 * Signed, token-weighted cross-entropy: `L = sum_bt w_bt (-log softmax(z_bt)[target_bt])` and its gradient
 * `dz_bt = w_bt (softmax(z_bt) - onehot(target_bt))`, in float32 whatever the model's type.
 *
 * With weights `+1/n` on a view `s`, `-1/n~` on its perturbed view and 0 on padding, `L` is the sum of `L(s) - L(s~)`.
 *
 * No one-hot tensor is made: one element of each row is overwritten by `p - 1`.
 *
 * @param logits [B, T, V]; or [B, V], of texts: then T is 1
 * @param targets [B, T] int64; any valid token where the weight is 0
 * @param weights [B, T] float32
 */
export function signedCrossEntropy(b: GraphBuilder, logits: Value, targets: Value, weights: Value): Loss {
  const [batch, tokens] = weights.shape as [number, number];
  const column = [batch, tokens, 1];
  const index = b.reshape(targets, column);
  const { losses, logP, logPTarget } = crossEntropy(b, logits, targets, weights);
  const p = b.exp(logP);
  const lowered = b.sub(b.exp(logPTarget), b.scalar(1));
  const difference = b.op("ScatterElements", [p, index, lowered], p.shape, { axis: attr.int(-1) });
  return { losses, dLogits: onto(b, inShapeOf(b, b.mul(difference, b.reshape(weights, column)), logits), logits) };
}

const inShapeOf = (b: GraphBuilder, v: Value, like: Value): Value => (v.shape.length === like.shape.length ? v : b.reshape(v, like.shape));

/**
 * What a text's vector reads along one of the directions that its numbers are of: `L = sum_b w_b z_b[target_b]`. Nothing is right or wrong about it: over
 * random directions the mean square of its gradient is that of the whole vector's Jacobian.
 *
 * @param z [B, K]
 * @param targets [B, 1] int64
 * @param weights [B, 1] float32
 */
export function signedReading(b: GraphBuilder, z: Value, targets: Value, weights: Value): Loss {
  const losses = b.reshape(b.gatherElements(z, targets, -1), [z.shape[0] as number]);
  const none = b.mul(z, b.scalar(0));
  return { losses, dLogits: b.op("ScatterElements", [none, targets, weights], z.shape, { axis: attr.int(-1) }) };
}

/** The losses that scores are taken of. */
export const signedLosses = { CROSS_ENTROPY: signedCrossEntropy, READING: signedReading } as const;
export type LossKind = keyof typeof signedLosses;

/**
 * Cross-entropy of rows, in float32.
 *
 * @param logits [R, V]
 * @param targets [R, 1] int64
 * @returns [R, 1]: nats per token
 */
export const crossEntropyRows = (b: GraphBuilder, logits: Value, targets: Value): Value =>
  b.neg(b.gatherElements(b.logSoftmax(logits), targets, -1));
