import { EspalierError } from "../errors.ts";
import { type DataType, sizeOf, type ValueInfo } from "../onnx/ir.ts";
import type { TensorArray, TensorValue } from "../runtime/session.ts";
import type { Feeds } from "./feeds.ts";
import { logitsOf } from "./logits.ts";
import { dimsOf, signatureOf } from "./signature.ts";

/** Which axis of a cache entry is the batch: the first of its dynamic sizes; the second is that of earlier tokens. */
export const batchAxisOf = ({ shape }: ValueInfo): number => (shape ?? []).findIndex((d) => typeof d !== "number");

/** The element types that a cache is fed in. */
const arrays: Partial<Record<DataType, (length: number) => TensorArray>> = {
  float32: (length) => new Float32Array(length),
  float16: (length) => new Uint16Array(length),
};

/** The cache of `batch` sequences before their first token. @throws EspalierError UNSUPPORTED_CACHE if it has no such form */
export function emptyCache(caches: readonly ValueInfo[], batch: number): Feeds {
  for (const cache of caches) requireGrowing(cache);
  return zeroCache(caches, batch, 0);
}

/** A cache of zeros, after `past` tokens. @throws EspalierError UNSUPPORTED_CACHE if it is of a type that cannot be fed */
export const zeroCache = (caches: readonly ValueInfo[], batch: number, past: number): Feeds =>
  Object.fromEntries(
    caches.map((cache) => {
      const { name, dataType } = cache;
      const dims = dimsOf(cache, [batch, past]);
      const make = arrays[dataType] ?? unusable(cache, `its type is ${dataType}`);
      return [name, { dataType, dims, data: make(sizeOf(dims)) }];
    }),
  );

function requireGrowing(cache: ValueInfo): void {
  if (sizeOf(dimsOf(cache, [1, 0])) > 0) unusable(cache, `its shape [${cache.shape}] has no dimension for earlier tokens`);
}

function unusable({ name }: ValueInfo, why: string): never {
  throw new EspalierError("UNSUPPORTED_CACHE", `cache input "${name}" cannot be used: ${why}`, { input: name });
}

/** A cache input and the output that gives it back, longer by the tokens of the run. */
export interface CacheEntry {
  readonly input: ValueInfo;
  readonly output: string;
}

/**
 * How a model hands its cache from one run to the next: `past_key_values.N.key` comes back as `present.N.key`; where names
 * say nothing, entries come back in the order in which they go in.
 *
 * @throws EspalierError UNSUPPORTED_CACHE if an entry is not given back, or has no place for earlier tokens
 */
export function cacheEntries(inputs: readonly ValueInfo[], outputs: readonly ValueInfo[]): CacheEntry[] {
  const { caches } = signatureOf(inputs);
  if (caches.length === 0) return [];
  for (const cache of caches) requireGrowing(cache);
  const logits = logitsOf(outputs).name;
  const others = outputs.map((o) => o.name).filter((name) => name !== logits);
  const named = caches.map(({ name }) => name.replace(/^past(?:_key_values)?/, "present"));
  const lost = caches[named.findIndex((name) => !others.includes(name))];
  const anyNamed = named.some((name) => others.includes(name));
  if (lost && (anyNamed || others.length !== caches.length))
    throw new EspalierError(
      "UNSUPPORTED_CACHE",
      `cache input "${lost.name}" does not come back: the model has no output "${named[caches.indexOf(lost)]}"`,
      { input: lost.name },
    );
  const back = lost ? others : named;
  return caches.map((input, i) => ({ input, output: back[i] as string }));
}

/** The cache as a run left it, under the names of the inputs that take it. */
export const nextCache = (entries: readonly CacheEntry[], results: Feeds): Feeds =>
  Object.fromEntries(entries.map(({ input, output }) => [input.name, results[output] as TensorValue]));

/** Heads and their width, layer by layer. Keys and values come in pairs of the same shape, [B, K, past, D]. */
export const cacheLayers = (caches: readonly ValueInfo[]): { heads: number; headWidth: number }[] =>
  caches
    .filter((_, i) => i % 2 === 0)
    .map(({ shape }) => {
      const [heads = 0, headWidth = 0] = (shape ?? []).filter((d) => typeof d === "number");
      return { heads, headWidth };
    });
