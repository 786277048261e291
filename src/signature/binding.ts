import type { Model } from "../onnx/ir.ts";
import { tensorOf } from "../onnx/tensors.ts";
import type { Binding } from "../runtime/specialise.ts";
import { emptyCache } from "./caches.ts";
import { feedsOf } from "./feeds.ts";
import { signatureOf } from "./signature.ts";

/**
 * How a language model is fixed for texts read from their beginning: token ids [B, T] are its only input. Texts are padded at
 * their end, so under causal attention no real token sees the padding: the mask is all ones, positions count from 0, caches are
 * empty, and all three fold away.
 *
 * @throws EspalierError as `signatureOf`; UNSUPPORTED_CACHE
 */
export function bindingOf(model: Model, batch: number, tokens: number, parameters: readonly string[]): Binding {
  const signature = signatureOf(model.graph.inputs);
  const texts = Array.from({ length: batch }, () => new Array<number>(tokens).fill(0));
  const { [signature.tokens.name]: ids, ...others } = feedsOf(signature, texts, 0);
  const constants = { ...emptyCache(signature.caches, batch), ...others };
  return {
    shapes: { [signature.tokens.name]: ids?.dims ?? [] },
    constants: Object.entries(constants).map(([name, value]) => tensorOf(name, value)),
    parameters,
  };
}
