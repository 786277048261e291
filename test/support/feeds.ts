import type { Model } from "../../src/onnx/ir.ts";
import type { TensorValue } from "../../src/runtime/session.ts";
import { zeroCache } from "../../src/signature/caches.ts";
import { feedsOf as feedsWithoutCache } from "../../src/signature/feeds.ts";
import { signatureOf } from "../../src/signature/signature.ts";

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
  const signature = signatureOf(model.graph.inputs);
  const caches = Object.entries(zeroCache(signature.caches, ids.length, past)).map(([name, zeros]) => {
    const seed = of(name);
    return [name, { ...zeros, data: Float32Array.from(zeros.data as Float32Array, (_, i) => Math.sin(seed + i)) }] as const;
  });
  return { ...feedsWithoutCache(signature, ids, past), ...Object.fromEntries(caches) };
}
