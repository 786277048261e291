import { EspalierError } from "../errors.ts";
import { sizeOf, type ValueInfo } from "../onnx/ir.ts";
import type { TensorArray, TensorValue } from "../runtime/session.ts";

/** A cache input and the output that gives it back, longer by the tokens of the run. */
export interface CacheEntry {
  readonly input: ValueInfo;
  readonly output: string;
}

/**
 * How a model hands its cache from one run to the next, read off its inputs and outputs: `past_key_values.N.key` comes
 * back as `present.N.key`. Each entry has its own shape, so layers may differ in heads and width.
 *
 * @throws EspalierError UNSUPPORTED_CACHE if an entry is not given back or has no dimension for earlier tokens
 */
export function cacheLayout(caches: readonly ValueInfo[], outputs: readonly ValueInfo[]): CacheEntry[] {
  const names = new Set(outputs.map((o) => o.name));
  return caches.map((input) => {
    const output = input.name.replace(/^past(?:_key_values)?/, "present");
    if (!names.has(output)) throw unsupported(input, `expected it back as output "${output}", which the model does not have`);
    empty(input, 1);
    return { input, output };
  });
}

/** The cache of `batch` sequences before their first token. */
export const emptyCache = (layout: readonly CacheEntry[], batch: number): Record<string, TensorValue> =>
  Object.fromEntries(layout.map(({ input }) => [input.name, empty(input, batch)]));

/** The cache as a run left it, under the names of the inputs that take it. */
export const nextCache = (layout: readonly CacheEntry[], results: Readonly<Record<string, TensorValue>>): Record<string, TensorValue> =>
  Object.fromEntries(layout.map(({ input, output }) => [input.name, results[output] as TensorValue]));

const arrays: Readonly<Record<string, () => TensorArray>> = {
  float32: () => new Float32Array(),
  float16: () => new Uint16Array(),
};

/** The dynamic dimensions are the batch and the earlier tokens, in that order. */
function empty(input: ValueInfo, batch: number): TensorValue {
  const dynamic = [batch, 0];
  const dims = (input.shape ?? []).map((d) => (typeof d === "number" ? d : (dynamic.shift() ?? 0)));
  if (sizeOf(dims) !== 0) throw unsupported(input, `its shape [${input.shape}] has no dimension for earlier tokens`);
  const make = arrays[input.dataType];
  if (!make) throw unsupported(input, `its type is ${input.dataType}`);
  return { dataType: input.dataType, dims, data: make() };
}

const unsupported = (input: ValueInfo, problem: string) =>
  new EspalierError("UNSUPPORTED_CACHE", `cache input "${input.name}" cannot be used: ${problem}`, { input: input.name });
