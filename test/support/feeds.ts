import type { Model } from "../../src/onnx/ir.ts";
import { cacheDims, signatureOf } from "../../src/onnx/signature.ts";
import type { TensorValue } from "../../src/runtime/session.ts";

const sizeOf = (dims: readonly number[]) => dims.reduce((a, b) => a * b, 1);

/**
 * Feeds of B texts of T tokens after `past` earlier ones, whose cache entries are arbitrary: `of` numbers them, so that two
 * models can be given the same.
 */
export function feedsOf(
  model: Model,
  ids: readonly (readonly number[])[],
  past = 0,
  of: (cache: string) => number = () => 0,
): Record<string, TensorValue> {
  const { tokens, mask, positions, caches } = signatureOf(model.graph.inputs);
  const [B, T] = [ids.length, ids[0]?.length ?? 0];
  const longs = (dims: readonly number[], value: (i: number) => number): TensorValue => ({
    dataType: "int64",
    dims,
    data: BigInt64Array.from({ length: sizeOf(dims) }, (_, i) => BigInt(value(i))),
  });
  const feeds: Record<string, TensorValue> = { [tokens.name]: longs([B, T], (i) => ids[Math.floor(i / T)]?.[i % T] as number) };
  if (mask) feeds[mask.name] = longs([B, past + T], () => 1);
  if (positions) feeds[positions.name] = longs([B, T], (i) => past + (i % T));
  for (const cache of caches) {
    const dims = cacheDims(cache, B, past);
    const seed = of(cache.name);
    feeds[cache.name] = { dataType: "float32", dims, data: Float32Array.from({ length: sizeOf(dims) }, (_, i) => Math.sin(seed + i)) };
  }
  return feeds;
}
