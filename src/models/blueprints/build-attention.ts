import * as attr from "../../onnx/attributes.ts";
import type { Attention, Norm } from "./blueprint.ts";
import type { Value } from "./graph-writer.ts";
import { type Building, linear, norm } from "./parts.ts";
import { type Fed, maskOf, turn, turnsOf } from "./positions.ts";

/** Keys and values of earlier tokens, [B, K, past, D]. */
export interface Cache {
  readonly key: Value;
  readonly value: Value;
}

/** Queries, keys or values, [B, T, heads * D], or with heads apart: [B, T, heads, D]. */
interface Projected {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  readonly apart: boolean;
}

/** `softmax(scale q k' + mask) v` of a value [B, T, H], and the cache that has grown by its tokens. */
export function attention(
  building: Building,
  x: Value,
  which: Attention,
  fed: Fed,
  past: Cache,
  hidden: number,
): { output: Value; cache: Cache } {
  const { g, type } = building;
  const { heads, kvHeads, headWidth, rotary, scale } = which;
  const given = projected(building, x, which, hidden);
  const early = which.headNorm?.when === "BEFORE_ROTARY" ? which.headNorm : undefined;
  const late = which.headNorm?.when === "AFTER_ROTARY" ? which.headNorm : undefined;
  const standing = (value: Value, count: number, by: Norm | undefined): Value => {
    const all = by && which.headNorm?.over === "ALL" ? norm(building, value, by, count * headWidth) : value;
    const apart = given.apart ? all : g.reshape(all, [0, 0, count, headWidth]);
    const each = by && which.headNorm?.over === "HEAD" ? norm(building, apart, by, headWidth) : apart;
    return g.transpose(each, [0, 2, 1, 3]);
  };
  const turned = (value: Value): Value =>
    rotary && fed.positions ? turn(g, value, headWidth, rotary, turnsOf(g, fed.positions, rotary, type)) : value;
  const q = norm(building, turned(standing(given.q, heads, early?.q)), late?.q ?? null, headWidth);
  const ownKey = norm(building, turned(standing(given.k, kvHeads, early?.k)), late?.k ?? null, headWidth);
  const key = g.concat([past.key, ownKey], 2);
  const value = g.concat([past.value, standing(given.v, kvHeads, undefined)], 2);

  const repeated = (each: Value): Value => {
    const times = heads / kvHeads;
    if (times === 1) return each;
    return g.reshape(g.op("Expand", [g.unsqueeze(each, [2]), g.ints([1, 1, times, 1, 1])]), [0, heads, -1, headWidth]);
  };
  const products = g.scaled(g.matMul(q, g.transpose(repeated(key), [0, 1, 3, 2])), scale);
  const scores = g.add(g.cast(g.capped(products, which.softcap), "float32"), maskOf(g, fed, which));
  const shares = g.cast(g.op("Softmax", [scores], { axis: attr.int(-1) }), type);
  const mixed = g.transpose(g.matMul(shares, repeated(value)), [0, 2, 1, 3]);
  const joined = g.reshape(mixed, [0, 0, heads * headWidth]);
  return { output: linear(building, joined, which.output, heads * headWidth, hidden), cache: { key, value } };
}

function projected(building: Building, x: Value, { projections, heads, kvHeads, headWidth, clip }: Attention, hidden: number): Projected {
  const { g } = building;
  const [queries, keys] = [heads * headWidth, kvHeads * headWidth];
  const clipped = (value: Value): Value =>
    clip === undefined ? value : g.op("Clip", [value, g.float(-clip, value.type), g.float(clip, value.type)]);
  if (projections.kind === "SEPARATE")
    return {
      q: clipped(linear(building, x, projections.q, hidden, queries)),
      k: clipped(linear(building, x, projections.k, hidden, keys)),
      v: clipped(linear(building, x, projections.v, hidden, keys)),
      apart: false,
    };
  const all = clipped(linear(building, x, projections.qkv, hidden, queries + 2 * keys));
  if (projections.by === "PARTS") {
    const [q, k, v] = g.split(all, [queries, keys, keys], -1) as [Value, Value, Value];
    return { q, k, v, apart: false };
  }
  const each = heads / kvHeads;
  const groups = g.split(g.reshape(all, [0, 0, kvHeads, each + 2, headWidth]), [each, 1, 1], 3);
  const [q, k, v] = groups.map((part, i) => g.reshape(part, [0, 0, i === 0 ? heads : kvHeads, headWidth])) as [Value, Value, Value];
  return { q, k, v, apart: true };
}
