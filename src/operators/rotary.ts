import * as attr from "../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { dataTypes, sizeAt } from "../onnx/ir.ts";
import type { Primal } from "./operator.ts";
import { refuse } from "./refuse.ts";

/**
 * Turns pairs of channels by the angles of their positions (Su et al. 2021, arXiv 2104.09864). A pair is channels `i`
 * and `i + R/2`, or `2i` and `2i + 1` if interleaved; channels from R on stay as they are.
 *
 * @param x [..., D]
 * @param cos, sin [..., R/2], broadcasting against `x`
 */
export function rotate(b: GraphBuilder, x: Value, cos: Value, sin: Value, interleaved: boolean): Value {
  const lead = x.shape.slice(0, -1);
  const half = sizeAt(cos.shape, -1);
  const width = sizeAt(x.shape, -1);
  const [turned, rest] = 2 * half < width ? b.split(x, [2 * half, width - 2 * half], -1) : [x];
  const grid = interleaved ? [...lead, half, 2] : [...lead, 2, half];
  const axis = interleaved ? -1 : -2;
  const [p, q] = b.split(b.reshape(turned as Value, grid), [1, 1], axis).map((part) => b.reshape(part, [...lead, half])) as [Value, Value];
  const column = interleaved ? [...lead, half, 1] : [...lead, 1, half];
  const both = [b.sub(b.mul(cos, p), b.mul(sin, q)), b.add(b.mul(sin, p), b.mul(cos, q))].map((part) => b.reshape(part, column));
  const joined = b.reshape(b.concat(both, axis), [...lead, 2 * half]);
  return rest ? b.concat([joined, rest], -1) : joined;
}

/** Rows of a table [positions, R/2] of cosines or sines: [B, T, R/2], or [1, T, R/2] where views share their positions. */
export const anglesAt = (b: GraphBuilder, table: Value, positions: Value): Value => b.gather(table, positions, 0);

/** [T] positions from `start` on, as [1, T]. */
export const positionsFrom = (b: GraphBuilder, start: number, tokens: number): Value =>
  b.ints(
    Array.from({ length: tokens }, (_, t) => start + t),
    [1, tokens],
  );

/** Turns every head of [B, T, heads x D] or [B, heads, T, D] by angles [B, T, R/2]. */
function turnHeads(b: GraphBuilder, x: Value, cos: Value, sin: Value, headWidth: number, interleaved: boolean): Value {
  if (x.shape.length === 4) {
    const across = (a: Value) => b.reshape(a, [sizeAt(a.shape, 0), 1, ...a.shape.slice(1)]);
    return rotate(b, x, across(cos), across(sin), interleaved);
  }
  const [batch, tokens, hidden] = x.shape as [number, number, number];
  const across = (a: Value) => b.reshape(a, [sizeAt(a.shape, 0), tokens, 1, sizeAt(a.shape, 2)]);
  return b.reshape(rotate(b, b.reshape(x, [batch, tokens, hidden / headWidth, headWidth]), across(cos), across(sin), interleaved), x.shape);
}

/** Of the standard set: angles by token, or tables and positions. */
export function rotaryEmbedding(b: GraphBuilder, { node, inputs }: Primal): Value[] {
  const [x, cos, sin, positions] = inputs as readonly (Value | null)[] as readonly [Value, Value, Value, Value?];
  const heads = attr.intOf(node, "num_heads", 0);
  if (x.shape.length === 3 && heads === 0) return refuse(node, "RotaryEmbedding of a tensor [B, T, H] needs num_heads");
  const [c, s] = positions ? [anglesAt(b, cos, positions), anglesAt(b, sin, positions)] : [cos, sin];
  return [turnHeads(b, x, c, s, sizeAt(x.shape, -1) / heads, attr.intOf(node, "interleaved", 0) === 1)];
}

/** Of ONNX Runtime: positions [B, T], or [1], the first token's. */
export function contribRotaryEmbedding(b: GraphBuilder, { node, inputs }: Primal): Value[] {
  const [x, positions, cos, sin] = inputs as readonly Value[] as readonly [Value, Value, Value, Value];
  if (attr.intOf(node, "is_packed_batching", 0) === 1) return refuse(node, "RotaryEmbedding of a ragged batch has no lowering");
  const tokens = sizeAt(x.shape, -2);
  const all =
    positions.shape.length === 1 ? b.add(positionsFrom(b, 0, tokens), b.cast(positions, "int64", dataTypes.int64.onnx)) : positions;
  // Where only a part of each head turns, the width of a head cannot be read off the tables.
  const heads = attr.intOf(node, "num_heads", 0);
  const partial = attr.intOf(node, "rotary_embedding_dim", 0) > 0;
  const width = partial ? sizeAt(x.shape, -1) / heads : 2 * sizeAt(cos.shape, 1);
  return [turnHeads(b, x, anglesAt(b, cos, all), anglesAt(b, sin, all), width, attr.intOf(node, "interleaved", 0) === 1)];
}
