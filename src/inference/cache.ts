import { EspalierError } from "../errors.ts";
import type { ValueInfo } from "../onnx/ir.ts";
import { type CacheEntry, emptyCacheDims } from "../onnx/signature.ts";
import type { TensorArray, TensorValue } from "../runtime/session.ts";

/** The cache of `batch` sequences before their first token. @throws EspalierError UNSUPPORTED_CACHE if an entry has no place for earlier tokens */
export const emptyCache = (layout: readonly CacheEntry[], batch: number): Record<string, TensorValue> =>
  Object.fromEntries(layout.map(({ input }) => [input.name, empty(input, batch)]));

/** The cache as a run left it, under the names of the inputs that take it. */
export const nextCache = (layout: readonly CacheEntry[], results: Readonly<Record<string, TensorValue>>): Record<string, TensorValue> =>
  Object.fromEntries(layout.map(({ input, output }) => [input.name, results[output] as TensorValue]));

const arrays: Readonly<Record<string, () => TensorArray>> = {
  float32: () => new Float32Array(),
  float16: () => new Uint16Array(),
};

function empty(input: ValueInfo, batch: number): TensorValue {
  const make = arrays[input.dataType];
  if (!make)
    throw new EspalierError("UNSUPPORTED_CACHE", `cache input "${input.name}" cannot be used: its type is ${input.dataType}`, {
      input: input.name,
    });
  return { dataType: input.dataType, dims: emptyCacheDims(input, batch), data: make() };
}
