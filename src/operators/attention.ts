import * as attr from "../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { type Attribute, type Node, sizeAt, sizeOf } from "../onnx/ir.ts";
import { integersIn } from "./arithmetic.ts";
import { afterPast, attend, causalBias, mergeHeads, paddingBias, splitHeads } from "./attend.ts";
import { type Axis, concatenation, leaf, product } from "./axis.ts";
import { type AxisRule, elementwise, freezesAll, pick } from "./axis-rules.ts";
import { rmsNorm } from "./norms.ts";
import type { CountsAfter, LoweringRule, Operator, Primal, Shapes } from "./operator.ts";
import { refuse } from "./refuse.ts";
import { anglesAt, contribRotaryEmbedding, positionsFrom, rotaryEmbedding, rotate } from "./rotary.ts";

/** The attention operators of ONNX Runtime and of the standard set, each in terms of `attend`. */

/** Inputs by position, where any but the first may be absent. */
const inputsOf = (primal: Primal): readonly [Value, ...(Value | null | undefined)[]] =>
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
function fusedAttention(b: GraphBuilder, primal: Primal): (Value | null)[] {
  const { node } = primal;
  const [x, weights, shift, mask, past, bias] = inputsOf(primal) as readonly [Value, Value, Value?, Value?, Value?, Value?];
  refuseIf(node, "do_rotary", "past_present_share_buffer");
  const [batch, tokens] = x.shape as [number, number, number];
  const n = attr.intOf(node, "num_heads", 1);
  const third = sizeAt(weights.shape, 1) / 3;
  const product = b.matMul(x, weights);
  const parts = b.split(shift ? b.add(product, shift) : product, attr.intsOf(node, "qkv_hidden_sizes") ?? [third, third, third], -1);
  const [q, newK, newV] = parts.map((part) => splitHeads(b, part, n)) as [Value, Value, Value];
  // The cache holds keys and values in one tensor, [2, B, N, past, D].
  const [pastK, pastV] = isEmpty(past)
    ? [null, null]
    : (b.split(past as Value, [1, 1], 0).map((p) => b.reshape(p, p.shape.slice(1))) as [Value, Value]);
  const [k, v] = [afterPast(b, pastK, newK), afterPast(b, pastV, newV)];
  const keys = sizeAt(k.shape, 2);
  const biases = [padding(b, node, mask, batch, tokens, keys), causal(b, node, tokens, keys), bias ?? null];
  const y = attend(b, { q, k, v, scale: scaleOf(node, sizeAt(q.shape, 3)), softcap: 0, biases, sink: null });
  const present = () =>
    b.concat(
      [k, v].map((c) => b.reshape(c, [1, ...c.shape])),
      0,
    );
  return [mergeHeads(b, y), node.outputs[1] ? present() : null];
}

/** Queries, keys and values apart, as [B, T, n x D] or, keys and values, as [B, n, S, D]; or packed in one tensor or two. */
function multiHeadAttention(b: GraphBuilder, primal: Primal): (Value | null)[] {
  const { node } = primal;
  const [query, key, value, shift, mask, bias, pastK, pastV, ...buffers] = inputsOf(primal);
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
  const keys = sizeAt(ks.shape, 2);
  const biases = [padding(b, node, mask, batch, tokens, keys), causal(b, node, tokens, keys), bias ?? null];
  const y = attend(b, { q: qs, k: ks, v: vs, scale: scaleOf(node, width), softcap: 0, biases, sink: null });
  return [mergeHeads(b, y), ks, vs];
}

const hiddenOf = (x: Value): number => (x.shape.length === 4 ? sizeAt(x.shape, 1) * sizeAt(x.shape, 3) : sizeAt(x.shape, 2));

/** [B, T, N, c, D] to c tensors [B, T, N x D]; any other tensor is what it is. */
function unpacked(b: GraphBuilder, x: Value): Value[] {
  if (x.shape.length !== 5) return [x];
  const [batch, tokens, n, count, width] = x.shape as [number, number, number, number, number];
  return b.split(x, Array<number>(count).fill(1), 3).map((part) => b.reshape(part, [batch, tokens, n * width]));
}

/** Causal attention in which groups of queries share keys and values, with norms and rotations of its own. */
function groupQueryAttention(b: GraphBuilder, primal: Primal): (Value | null)[] {
  const { node } = primal;
  const [query, key, value, pastK, pastV, lengths, , cos, sin, positions, bias, headSink, kScale, vScale, qNorm, kNorm] = inputsOf(primal);
  refuseIf(node, "sliding_window_cache");
  if (kScale || vScale) return refuse(node, "GroupQueryAttention over a quantised cache has no lowering");
  const [n, groups] = [attr.intOf(node, "num_heads", 1), attr.intOf(node, "kv_num_heads", 1)];
  const [batch, tokens, hidden] = query.shape as [number, number, number];
  const width = hidden / (key ? n : n + 2 * groups);
  const parts = key && value ? [query, key, value] : b.split(query, [n * width, groups * width, groups * width], -1);

  const past = isEmpty(pastK) || !pastK ? 0 : sizeAt(pastK.shape, 2);
  if (past > 0 && integersIn(b, lengths as Value).some((last) => last + 1 !== past + tokens))
    return refuse(node, "GroupQueryAttention over a cache that is not full has no lowering");
  const at = positions ?? positionsFrom(b, past, tokens);
  const turned = (x: Value, weight: Value | null | undefined) => {
    const options = { axes: [3], epsilon: attr.floatOf(node, "qk_norm_epsilon", 1e-6) };
    const normed = weight ? rmsNorm(b, x, weight, options).y : x;
    if (attr.intOf(node, "do_rotary", 0) === 0) return normed;
    const angles = (table: Value) => {
      const a = anglesAt(b, table, at);
      return b.reshape(a, [sizeAt(a.shape, 0), 1, ...a.shape.slice(1)]);
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
function standardAttention(b: GraphBuilder, primal: Primal): (Value | null)[] {
  const { node } = primal;
  const [query, key, value, mask, pastK, pastV, lengths] = inputsOf(primal) as readonly [Value, Value, Value, ...(Value | undefined)[]];
  if (lengths) return refuse(node, "Attention over a cache that is not full has no lowering");
  const flat = query.shape.length === 3;
  const split = (x: Value, attribute: string) => (flat ? splitHeads(b, x, attr.intOf(node, attribute, 1)) : x);
  const q = split(query, "q_num_heads");
  const [k, v] = [afterPast(b, pastK ?? null, split(key, "kv_num_heads")), afterPast(b, pastV ?? null, split(value, "kv_num_heads"))];
  const [tokens, keys] = [sizeAt(q.shape, 2), sizeAt(k.shape, 2)];
  const bias = mask && (mask.dataType === "bool" ? b.where(mask, b.scalar(0), b.scalar(-1e30)) : mask);
  const sees = attr.intOf(node, "is_causal", 0) === 1 ? causalBias(b, tokens, keys) : null;
  const y = attend(b, {
    q,
    k,
    v,
    scale: scaleOf(node, sizeAt(q.shape, 3)),
    softcap: attr.floatOf(node, "softcap", 0),
    biases: [sees, bias ? bias4d(b, bias) : null],
    sink: null,
  });
  return [flat ? mergeHeads(b, y) : y, k, v];
}

/** Which attributes count the heads of queries, and of keys and values; and which inputs have the past (two of them), and the bias of all three. */
interface Form {
  readonly heads: string;
  readonly groups: string;
  readonly past: number;
  readonly bias?: number;
}

/**
 * Heads are stated in attributes: `heads * width` columns, queries `groups * queries * width`; or have an axis of their own.
 * Widths are mixed by the product of queries and keys. Inputs: queries (or all three, one after the other), keys, values;
 * outputs: the result, and keys and values of past and present.
 */
const attentionAxes =
  ({ heads, groups, past, bias }: Form): AxisRule =>
  (call) => {
    const [q, keys, values, y] = [pick(call, "x", 0), pick(call, "x", 1), pick(call, "x", 2), pick(call, "y", 0)];
    // Packed with an axis for the three of them: nobody exports it.
    if ([q, keys].some((x) => x.length === 5)) return freezesAll(call);
    const flat = q.length === 3;
    const count = flat ? attr.intOf(call.node, heads, 1) : (q[1]?.size ?? 1);
    const shared = flat ? attr.intOf(call.node, groups, count) : (keys[1]?.size ?? count);
    const mixed = (columns: Axis | undefined) => leaf((columns?.size ?? 0) / (flat ? count : 1));
    const group = leaf(shared);
    const [queries, inner] = [leaf(count / shared), mixed(y.at(-1))];
    // Values may be of another width than queries and keys.
    const crossed = keys.length > 0 && q.at(-1)?.size !== y.at(-1)?.size ? mixed(q.at(-1)) : inner;
    call.freeze([inner, crossed]);
    const of = (each: Axis, width: Axis) => product(each === group ? [group, width] : [group, queries, width]);
    const [q1, k1, v1, y1] = [of(queries, crossed), of(group, crossed), of(group, inner), of(queries, inner)];
    if (flat) {
      call.same(y.at(-1), y1);
      for (const i of [0, 1]) call.same(q[i], y[i]);
      call.same(q.at(-1), keys.length > 0 ? q1 : concatenation([q1, k1, v1]));
    } else {
      call.same(q[1], product([group, queries]));
      for (const i of [0, 1, 2]) call.same(q[i], y[i]);
      call.freeze([q[3], y[3]]);
    }
    for (const [kv, columns] of [
      [keys, k1],
      [values, v1],
    ] as const) {
      call.same(kv[0], y[0]);
      if (kv.length === 3) call.same(kv[2], columns);
      else if (kv.length === 4) {
        call.same(kv[1], group);
        call.freeze(kv.slice(2));
      }
    }
    for (const cache of [pick(call, "x", past), pick(call, "x", past + 1), pick(call, "y", 1), pick(call, "y", 2)]) {
      call.same(cache[0], y[0]);
      call.same(cache[1], group);
      call.freeze(cache.slice(2));
    }
    if (bias !== undefined) call.same(pick(call, "x", bias)[0], concatenation([q1, k1, v1]));
    // Masks and sinks by head, and whatever else it may take, is left as it is.
    const known = new Set([0, 1, 2, past, past + 1, bias]);
    call.freeze(call.x.flatMap((x, i) => (known.has(i) ? [] : x)));
    call.freeze(call.y.slice(3).flat());
  };

/** Projections and attention in one: the weight's columns are those of queries, keys and values, one after the other. */
const fusedAttentionAxes: AxisRule = (call) => {
  const [x, weight, bias, past, y] = [...[0, 1, 2, 4].map((i) => pick(call, "x", i)), pick(call, "y", 0)] as const;
  if (attr.intsOf(call.node, "qkv_hidden_sizes") || !x || !weight || !y) return freezesAll(call);
  const count = attr.intOf(call.node, "num_heads", 1);
  const [heads, inner] = [leaf(count), leaf((y.at(-1)?.size ?? 0) / count)];
  call.freeze([inner]);
  const columns = product([heads, inner]);
  for (const i of [0, 1]) call.same(x[i], y[i]);
  call.same(x[2], weight[0]);
  for (const axis of [weight[1], bias?.[0]]) call.same(axis, concatenation([columns, columns, columns]));
  call.same(y[2], columns);
  for (const cache of [past, pick(call, "y", 1)]) {
    call.same(cache?.[1], y[0]);
    call.same(cache?.[2], heads);
    call.freeze([cache?.[0], ...(cache?.slice(3) ?? [])]);
  }
  call.freeze([...pick(call, "x", 3), ...call.x.slice(5).flat()]);
};

/** Turns pairs of each head's entries, where the head's width follows from what is stated, or from the tables. */
const rotaryAxes =
  (tableAt: number | null): AxisRule =>
  (call) => {
    const [x, y] = [pick(call, "x", 0), pick(call, "y", 0)];
    elementwise({ ...call, x: [x], y: [y] });
    const columns = x.at(-1) as Axis;
    if (x.length === 4) return call.freeze([columns]);
    const heads = attr.intOf(call.node, "num_heads", 0);
    const partial = attr.intOf(call.node, "rotary_embedding_dim", 0);
    const table = tableAt === null ? 0 : (pick(call, "x", tableAt).at(-1)?.size ?? 0);
    const width = heads > 0 ? columns.size / heads : partial > 0 ? 0 : 2 * table;
    const inner = leaf(width);
    call.freeze(width > 0 ? [inner] : [columns]);
    if (width > 0) call.same(columns, product([leaf(columns.size / width), inner]));
  };

/** An attribute counts what an axis of an operand consists of: it shrinks as the axis does. */
const counts =
  (...counted: readonly (readonly [attribute: string, side: "x" | "y", operand: number])[]): CountsAfter =>
  (node, before, after) =>
    Object.fromEntries(
      counted.flatMap(([attribute, side, operand]): [string, Attribute][] => {
        const old = attr.intOf(node, attribute, 0);
        // Heads that have an axis of their own are told by it, others by the columns.
        const size = (shapes: Shapes) => {
          const shape = shapes[side][operand] ?? [];
          return shape.at(shape.length === 4 ? 1 : -1) ?? 0;
        };
        const [was, is] = [size(before), size(after)];
        return old > 0 && was !== is ? [[attribute, attr.int((old * is) / was)]] : [];
      }),
    );

const attention = (lower: LoweringRule, axes: AxisRule, more: Partial<Operator>): Operator => ({
  gradient: { lower },
  axes,
  tokenWise: false,
  mixesTokens: "attention",
  ...more,
});

/** Whole attentions in one node, and what turns their queries and keys. */
export const attentions = {
  Attention: attention(standardAttention, attentionAxes({ heads: "q_num_heads", groups: "kv_num_heads", past: 4 }), {
    countsAfter: counts(["q_num_heads", "y", 0], ["kv_num_heads", "x", 1]),
  }),
  "com.microsoft::Attention": attention(fusedAttention, fusedAttentionAxes, {
    weights: "product",
    countsAfter: counts(["num_heads", "y", 0]),
  }),
  "com.microsoft::MultiHeadAttention": attention(
    multiHeadAttention,
    attentionAxes({ heads: "num_heads", groups: "num_heads", past: 6, bias: 3 }),
    { countsAfter: counts(["num_heads", "y", 0]) },
  ),
  "com.microsoft::GroupQueryAttention": attention(
    groupQueryAttention,
    attentionAxes({ heads: "num_heads", groups: "kv_num_heads", past: 3 }),
    { countsAfter: counts(["num_heads", "y", 0], ["kv_num_heads", "y", 1]) },
  ),
  RotaryEmbedding: {
    gradient: { lower: rotaryEmbedding },
    axes: rotaryAxes(null),
    tokenWise: false,
    countsAfter: counts(["num_heads", "y", 0]),
  },
  "com.microsoft::RotaryEmbedding": {
    gradient: { lower: contribRotaryEmbedding },
    axes: rotaryAxes(2),
    tokenWise: true,
    countsAfter: counts(["num_heads", "y", 0]),
  },
} satisfies Record<string, Operator>;
