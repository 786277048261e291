import * as attr from "../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { type Node, sizeOf } from "../onnx/ir.ts";
import { integersIn } from "./arithmetic.ts";
import { afterPast, attend, causalBias, mergeHeads, paddingBias, splitHeads } from "./attention.ts";
import type { Primal } from "./gradients.ts";
import { rmsNorm } from "./normalization.ts";
import { refuse } from "./refuse.ts";
import { anglesAt, positionsFrom, rotate } from "./rotary.ts";

/** The attention operators of ONNX Runtime and of the standard set, each in terms of `attend`. */

/** Inputs by position, where any but the first may be absent. */
const optional = (primal: Primal): readonly [Value, ...(Value | null | undefined)[]] =>
  primal.inputs as readonly (Value | null | undefined)[] as readonly [Value, ...(Value | null | undefined)[]];

const isEmpty = (v: Value | null | undefined): boolean => !v || sizeOf(v.shape) === 0;
const scaleOf = (node: Node, width: number): number => attr.floatOf(node, "scale", 0) || 1 / Math.sqrt(width);

/** An attribute that, if set, asks for something there is no lowering for. */
function refuseIf(node: Node, ...names: readonly string[]): void {
  const set = names.find((name) => attr.intOf(node, name, 0) !== 0);
  if (set) refuse(node, `${node.opType} with ${set} has no lowering`);
}

const bias4d = (b: GraphBuilder, mask: Value): Value => b.reshape(mask, [...Array<number>(4 - mask.shape.length).fill(1), ...mask.shape]);

function padding(b: GraphBuilder, node: Node, mask: Value | null | undefined, batch: number, tokens: number, keys: number): Value | null {
  if (!mask) return null;
  const bias = paddingBias(b, mask, batch, tokens, keys, attr.floatOf(node, "mask_filter_value", -10000));
  return bias ?? refuse(node, `a mask of shape [${mask.shape}] over ${tokens} tokens and ${keys} keys has no lowering`);
}

const causal = (b: GraphBuilder, node: Node, tokens: number, keys: number): Value | null =>
  attr.intOf(node, "unidirectional", 0) === 1 ? causalBias(b, tokens, keys) : null;

/** One product with the whole fused weight, then a split of what comes out: the weight meets the activations as it is stored. */
export function fusedAttention(b: GraphBuilder, primal: Primal): (Value | null)[] {
  const { node } = primal;
  const [x, weights, shift, mask, past, bias] = optional(primal) as readonly [Value, Value, Value?, Value?, Value?, Value?];
  refuseIf(node, "do_rotary", "past_present_share_buffer");
  const [batch, tokens] = x.shape as [number, number, number];
  const n = attr.intOf(node, "num_heads", 1);
  const third = (weights.shape[1] as number) / 3;
  const product = b.matMul(x, weights);
  const parts = b.split(shift ? b.add(product, shift) : product, attr.intsOf(node, "qkv_hidden_sizes") ?? [third, third, third], -1);
  const [q, newK, newV] = parts.map((part) => splitHeads(b, part, n)) as [Value, Value, Value];
  // The cache holds keys and values in one tensor, [2, B, N, past, D].
  const [pastK, pastV] = isEmpty(past)
    ? [null, null]
    : (b.split(past as Value, [1, 1], 0).map((p) => b.reshape(p, p.shape.slice(1))) as [Value, Value]);
  const [k, v] = [afterPast(b, pastK, newK), afterPast(b, pastV, newV)];
  const keys = k.shape[2] as number;
  const biases = [padding(b, node, mask, batch, tokens, keys), causal(b, node, tokens, keys), bias ?? null];
  const y = attend(b, { q, k, v, scale: scaleOf(node, q.shape[3] as number), softcap: 0, biases, sink: null });
  const present = () =>
    b.concat(
      [k, v].map((c) => b.reshape(c, [1, ...c.shape])),
      0,
    );
  return [mergeHeads(b, y), node.outputs[1] ? present() : null];
}

/** Queries, keys and values apart, as [B, T, n x D] or, keys and values, as [B, n, S, D]; or packed in one tensor or two. */
export function multiHeadAttention(b: GraphBuilder, primal: Primal): (Value | null)[] {
  const { node } = primal;
  const [query, key, value, shift, mask, bias, pastK, pastV, ...buffers] = optional(primal);
  if (buffers.some((v) => v)) return refuse(node, "MultiHeadAttention over a shared buffer has no lowering");
  const n = attr.intOf(node, "num_heads", 1);
  const [q, k, v] = [...unpacked(b, query), ...(key ? unpacked(b, key) : []), ...(value ? [value] : [])] as [Value, Value, Value];
  const shifts = shift
    ? b.split(
        shift,
        [q, k, v].map((x) => hiddenOf(x)),
        0,
      )
    : [];
  const [qs, newK, newV] = [q, k, v].map((x, i) => {
    if (x.shape.length === 4) return x;
    return splitHeads(b, shifts[i] ? b.add(x, shifts[i]) : x, n);
  }) as [Value, Value, Value];
  const [ks, vs] = [afterPast(b, pastK ?? null, newK), afterPast(b, pastV ?? null, newV)];
  const [batch, , tokens, width] = qs.shape as [number, number, number, number];
  const keys = ks.shape[2] as number;
  const biases = [padding(b, node, mask, batch, tokens, keys), causal(b, node, tokens, keys), bias ?? null];
  const y = attend(b, { q: qs, k: ks, v: vs, scale: scaleOf(node, width), softcap: 0, biases, sink: null });
  return [mergeHeads(b, y), ks, vs];
}

const hiddenOf = (x: Value): number => (x.shape.length === 4 ? (x.shape[1] as number) * (x.shape[3] as number) : (x.shape[2] as number));

/** [B, T, N, c, D] to c tensors [B, T, N x D]; any other tensor is what it is. */
function unpacked(b: GraphBuilder, x: Value): Value[] {
  if (x.shape.length !== 5) return [x];
  const [batch, tokens, n, count, width] = x.shape as [number, number, number, number, number];
  return b.split(x, Array<number>(count).fill(1), 3).map((part) => b.reshape(part, [batch, tokens, n * width]));
}

/** Causal attention in which groups of queries share keys and values, with norms and rotations of its own. */
export function groupQueryAttention(b: GraphBuilder, primal: Primal): (Value | null)[] {
  const { node } = primal;
  const [query, key, value, pastK, pastV, lengths, , cos, sin, positions, bias, headSink, kScale, vScale, qNorm, kNorm] = optional(primal);
  refuseIf(node, "sliding_window_cache");
  if (kScale || vScale) return refuse(node, "GroupQueryAttention over a quantised cache has no lowering");
  const [n, groups] = [attr.intOf(node, "num_heads", 1), attr.intOf(node, "kv_num_heads", 1)];
  const [batch, tokens, hidden] = query.shape as [number, number, number];
  const width = hidden / (key ? n : n + 2 * groups);
  const parts = key && value ? [query, key, value] : b.split(query, [n * width, groups * width, groups * width], -1);

  const past = isEmpty(pastK) ? 0 : (pastK?.shape[2] as number);
  if (past > 0 && integersIn(b, lengths as Value).some((last) => last + 1 !== past + tokens))
    return refuse(node, "GroupQueryAttention over a cache that is not full has no lowering");
  const at = positions ?? positionsFrom(b, past, tokens);
  const turned = (x: Value, weight: Value | null | undefined) => {
    const options = { axes: [3], epsilon: attr.floatOf(node, "qk_norm_epsilon", 1e-6) };
    const normed = weight ? rmsNorm(b, x, weight, options).y : x;
    if (attr.intOf(node, "do_rotary", 0) === 0) return normed;
    const angles = (table: Value) => {
      const a = anglesAt(b, table, at);
      return b.reshape(a, [a.shape[0] as number, 1, ...a.shape.slice(1)]);
    };
    return rotate(b, normed, angles(cos as Value), angles(sin as Value), attr.intOf(node, "rotary_interleaved", 0) === 1);
  };
  const [q, newK, newV] = parts.map((part, i) => splitHeads(b, part, i === 0 ? n : groups)) as [Value, Value, Value];
  const k = afterPast(b, pastK ?? null, turned(newK, kNorm));
  const v = afterPast(b, pastV ?? null, newV);
  const sees = attr.intOf(node, "causal", 1) === 1 ? causalBias(b, tokens, past + tokens, attr.intOf(node, "local_window_size", -1)) : null;
  const zeroSink = attr.intOf(node, "smooth_softmax", 0) === 1 ? b.floats(Array<number>(n).fill(0)) : null;
  const y = attend(b, {
    q: turned(q, qNorm),
    k,
    v,
    scale: scaleOf(node, width),
    softcap: attr.floatOf(node, "softcap", 0),
    biases: [sees, bias ?? null],
    sink: headSink ?? zeroSink,
  });
  return [b.reshape(mergeHeads(b, y), [batch, tokens, n * width]), k, v];
}

/** Of the standard set: a mask that is true where a key may be seen, or is added to the scores. */
export function standardAttention(b: GraphBuilder, primal: Primal): (Value | null)[] {
  const { node } = primal;
  const [query, key, value, mask, pastK, pastV, lengths] = optional(primal) as readonly [Value, Value, Value, ...(Value | undefined)[]];
  if (lengths) return refuse(node, "Attention over a cache that is not full has no lowering");
  const flat = query.shape.length === 3;
  const split = (x: Value, attribute: string) => (flat ? splitHeads(b, x, attr.intOf(node, attribute, 1)) : x);
  const q = split(query, "q_num_heads");
  const [k, v] = [afterPast(b, pastK ?? null, split(key, "kv_num_heads")), afterPast(b, pastV ?? null, split(value, "kv_num_heads"))];
  const [tokens, keys] = [q.shape[2] as number, k.shape[2] as number];
  const bias = mask && (mask.dataType === "bool" ? b.where(mask, b.scalar(0), b.scalar(-1e30)) : mask);
  const sees = attr.intOf(node, "is_causal", 0) === 1 ? causalBias(b, tokens, keys) : null;
  const y = attend(b, {
    q,
    k,
    v,
    scale: scaleOf(node, q.shape[3] as number),
    softcap: attr.floatOf(node, "softcap", 0),
    biases: [sees, bias ? bias4d(b, bias) : null],
    sink: null,
  });
  return [flat ? mergeHeads(b, y) : y, k, v];
}
