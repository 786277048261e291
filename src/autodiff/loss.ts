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

/**
 * Token-weighted cross-entropy, in float32 whatever the model's type: for each view `sum_t |w_t| (-log softmax(z_t)[target_t])`.
 *
 * @param logits [B, T, V]
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
  const [batch, tokens] = logits.shape as [number, number, number];
  const logP = b.logSoftmax(b.cast(logits, "float32", dataTypes.float32.onnx));
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
 * @param logits [B, T, V]
 * @param targets [B, T] int64; any valid token where the weight is 0
 * @param weights [B, T] float32
 */
export function signedCrossEntropy(b: GraphBuilder, logits: Value, targets: Value, weights: Value): Loss {
  const [batch, tokens] = logits.shape as [number, number, number];
  const column = [batch, tokens, 1];
  const index = b.reshape(targets, column);
  const { losses, logP, logPTarget } = crossEntropy(b, logits, targets, weights);
  const p = b.exp(logP);
  const lowered = b.sub(b.exp(logPTarget), b.scalar(1));
  const difference = b.op("ScatterElements", [p, index, lowered], p.shape, { axis: attr.int(-1) });
  return { losses, dLogits: onto(b, b.mul(difference, b.reshape(weights, column)), logits) };
}

/**
 * Cross-entropy of rows, in float32.
 *
 * @param logits [R, V]
 * @param targets [R, 1] int64
 * @returns [R, 1]: nats per token
 */
export const crossEntropyRows = (b: GraphBuilder, logits: Value, targets: Value): Value =>
  b.neg(b.gatherElements(b.logSoftmax(logits), targets, -1));
