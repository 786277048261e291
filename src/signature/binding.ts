import type { Model } from "../onnx/ir.ts";
import { tensorOf } from "../onnx/tensors.ts";
import type { Binding } from "../runtime/specialise.ts";
import { emptyCache } from "./caches.ts";
import { feedsOf } from "./feeds.ts";
import { signatureOf } from "./signature.ts";

/**
 * How a language model is fixed for texts read from their beginning. Of a causal one token ids [B, T] are the only input: texts are
 * padded at their end, so that no real token sees the padding. The mask is all ones, positions count from 0, caches are empty, and
 * all three fold away. One whose tokens see what follows is given masks [B, T] and token types too.
 *
 * @param seesAll whether tokens see what follows them
 * @throws EspalierError as `signatureOf`; UNSUPPORTED_CACHE
 */
export function bindingOf(model: Model, batch: number, tokens: number, parameters: readonly string[], seesAll = false): Binding {
  const signature = signatureOf(model.graph.inputs);
  const texts = Array.from({ length: batch }, () => new Array<number>(tokens).fill(0));
  const fed = [signature.tokens, ...(seesAll ? [signature.mask, ...signature.tokenTypes] : [])].flatMap((input) => input?.name ?? []);
  const feeds = Object.entries(feedsOf(signature, texts, 0));
  const constants = { ...emptyCache(signature.caches, batch), ...Object.fromEntries(feeds.filter(([name]) => !fed.includes(name))) };
  return {
    shapes: Object.fromEntries(feeds.filter(([name]) => fed.includes(name)).map(([name, { dims }]) => [name, dims])),
    constants: Object.entries(constants).map(([name, value]) => tensorOf(name, value)),
    parameters,
  };
}
