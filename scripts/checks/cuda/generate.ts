import { LanguageModel } from "../../../src/inference/language-model.ts";
import type { ConcreteProvider } from "../../../src/runtime/providers.ts";
import type { SessionOptions } from "../../../src/runtime/session.ts";

export interface Generated {
  readonly vocabulary: number;
  /** Of two texts of eight tokens, [2, 8, V]. */
  readonly logits: Float32Array;
  /** After a ninth token, read with the cache of eight, [V]. */
  readonly next: Float32Array;
}

/** Reads fixed tokens with a model as it was registered: at once, and by its cache. */
export async function generateOn(
  executionProvider: ConcreteProvider,
  folder: string,
  native?: SessionOptions["native"],
): Promise<Generated> {
  const model = await LanguageModel.open({ folder, executionProvider, ...(native ? { native } : {}) });
  try {
    const row = (seed: number) => Array.from({ length: 8 }, (_, t) => (seed + 37 * t) % 90);
    const logits = await model.logits([row(3), row(11)]);
    const { past } = await model.read(model.start, row(3));
    const { logits: next } = await model.read(past, [5]);
    return { vocabulary: next.length, logits, next };
  } finally {
    await model.close();
  }
}
