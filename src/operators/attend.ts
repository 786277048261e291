import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { dataTypes, sizeAt, sizeOf } from "../onnx/ir.ts";
import { onto, scaled } from "./arithmetic.ts";

/** What every attention operator comes down to. B batch, T tokens, N heads, K kv heads, D head width, S keys (earlier ones and T). */
export interface Attention {
  /** [B, N, T, D] */
  readonly q: Value;
  /** [B, K, S, D] */
  readonly k: Value;
  /** [B, K, S, E] */
  readonly v: Value;
  readonly scale: number;
  /** Scores are bent to stay within it, before biases are added; 0 for none. */
  readonly softcap: number;
  /** Added to the scores [B, N, T, S], broadcasting. */
  readonly biases: readonly (Value | null)[];
  /** [N] a score per head that takes its share of the softmax and gives nothing; null for none. */
  readonly sink: Value | null;
}

/** `softmax(scale q k^T + biases) v`: [B, N, T, E]. Queries that share keys are rows of one product: no key is repeated. */
export function attend(b: GraphBuilder, { q, k, v, scale, softcap, biases, sink }: Attention): Value {
  const [batch, heads, tokens, width] = q.shape as [number, number, number, number];
  const [, groups, keys] = k.shape as [number, number, number, number];
  const rows = (heads / groups) * tokens;
  const products = b.matMul(b.reshape(scaled(b, q, scale), [batch, groups, rows, width]), b.transpose(k));
  const raw = b.reshape(products, [batch, heads, tokens, keys]);
  const bent = softcap === 0 ? raw : scaled(b, b.tanh(scaled(b, raw, 1 / softcap)), softcap);
  const scores = biases.reduce<Value>((sum, bias) => (bias ? b.add(sum, onto(b, bias, sum)) : sum), bent);
  const weights = sink ? withSink(b, scores, sink) : b.softmax(scores);
  const mixed = b.matMul(b.reshape(weights, [batch, groups, rows, keys]), v);
  return b.reshape(mixed, [batch, heads, tokens, sizeAt(v.shape, 3)]);
}

function withSink(b: GraphBuilder, scores: Value, sink: Value): Value {
  const [batch, heads, tokens, keys] = scores.shape as [number, number, number, number];
  const column = b.expand(b.reshape(sink, [1, heads, 1, 1]), [batch, heads, tokens, 1]);
  return b.split(b.softmax(b.concat([scores, column], -1)), [keys, 1], -1)[0] as Value;
}

/** [B, T, n x D] to [B, n, T, D]. */
export function splitHeads(b: GraphBuilder, x: Value, n: number): Value {
  const [batch, tokens, hidden] = x.shape as [number, number, number];
  return b.transpose(b.reshape(x, [batch, tokens, n, hidden / n]), [0, 2, 1, 3]);
}

/** [B, n, T, D] to [B, T, n x D]. */
export function mergeHeads(b: GraphBuilder, x: Value): Value {
  const [batch, n, tokens, width] = x.shape as [number, number, number, number];
  return b.reshape(b.transpose(x, [0, 2, 1, 3]), [batch, tokens, n * width]);
}

/** Earlier keys or values before the new ones: [B, n, S, D]. An empty cache adds nothing. */
export const afterPast = (b: GraphBuilder, past: Value | null, x: Value): Value =>
  past && sizeOf(past.shape) > 0 ? b.concat([past, x], 2) : x;

/** Far below any score, and far from the lowest float: several of them may be added up. */
const HIDDEN = -1e30;

/** The bias that hides keys where a condition holds. */
const hide = (b: GraphBuilder, hidden: Value, by = HIDDEN): Value => b.where(hidden, b.scalar(by), b.scalar(0));

const compare = (b: GraphBuilder, opType: "Greater" | "Less", column: Value, row: Value): Value =>
  b.op(opType, [column, row], [...row.shape.slice(0, -1), sizeAt(column.shape, -1)], {}, "bool");

const countedKeys = (b: GraphBuilder, keys: number): Value => b.ints([...Array(keys).keys()], [1, keys]);

/** Hides from each of the last T of S positions what comes after it and, given a window, all but the last `window` positions. */
export function causalBias(b: GraphBuilder, tokens: number, keys: number, window = -1): Value {
  const at = (shift: number) =>
    b.ints(
      Array.from({ length: tokens }, (_, t) => keys - tokens + t + shift),
      [tokens, 1],
    );
  const later = compare(b, "Greater", countedKeys(b, keys), at(0));
  if (window <= 0) return hide(b, later);
  const earlier = compare(b, "Less", countedKeys(b, keys), at(1 - window));
  return hide(b, b.op("Or", [later, earlier], [tokens, keys], {}, "bool"));
}

/**
 * The bias of ONNX Runtime's padding masks, by their shape: 1 for what may be seen as [B, S] or [B, T, S]; as [B], how many
 * keys there are; as [2B], where keys end and then where they start. Null for any other shape.
 */
export function paddingBias(b: GraphBuilder, mask: Value, batch: number, tokens: number, keys: number, filter: number): Value | null {
  const m = b.cast(mask, "int64", dataTypes.int64.onnx);
  const is = (...shape: number[]) => m.shape.length === shape.length && m.shape.every((d, i) => d === shape[i]);
  if (is(batch, keys) || is(batch, tokens, keys)) {
    const hidden = b.op("Equal", [m, b.ints([0], [])], m.shape, {}, "bool");
    return b.reshape(hide(b, hidden, filter), [batch, 1, is(batch, keys) ? 1 : tokens, keys]);
  }
  const column = (v: Value) => b.reshape(v, [batch, 1]);
  const after = (ends: Value) => compare(b, "Greater", countedKeys(b, keys), b.sub(column(ends), b.ints([1], [])));
  if (is(batch)) return b.reshape(hide(b, after(m), filter), [batch, 1, 1, keys]);
  if (!is(2 * batch)) return null;
  const [ends, starts] = b.split(m, [batch, batch], 0) as [Value, Value];
  const before = compare(b, "Less", countedKeys(b, keys), column(starts));
  return b.reshape(hide(b, b.op("Or", [after(ends), before], [batch, keys], {}, "bool"), filter), [batch, 1, 1, keys]);
}
