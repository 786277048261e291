import { EspalierError } from "../errors.ts";
import type { Session, TensorValue } from "../runtime/session.ts";
import { cacheEntries, emptyCache, nextCache } from "../signature/caches.ts";
import { type Feeds, feedsOf } from "../signature/feeds.ts";
import { logitsByToken, logitsOf } from "../signature/logits.ts";
import { requireDynamic, signatureOf } from "../signature/signature.ts";

/** Ids below 10 are in every vocabulary. */
const texts = [
  [3, 4, 5, 6, 7],
  [8, 3, 9, 4, 5],
];

/** Of the spread of a token's logits, squared: arithmetic and quantised activations differ by less, a cache that is lost by more. */
const mostApart = 0.1;

/**
 * Checks by short runs what all use of a model relies on: texts of any number and length go in, logits come out for each of their
 * tokens, and tokens that follow a cache read as they do after the text itself. Of inputs and outputs whose roles are not known
 * nothing is said here: that is for other checks.
 *
 * @throws EspalierError UNSUPPORTED_INPUT if sizes are fixed; NO_LOGITS if some tokens have none, or they are probabilities;
 *   UNSUPPORTED_CACHE if it does not do what a cache does; ONNX_RUNTIME if the model does not run
 */
export async function requireUsable(session: Session): Promise<void> {
  const signature = unlessRefused(() => signatureOf(session.inputs));
  if (!signature) return;
  requireDynamic(signature);
  const logits = unlessRefused(() => logitsOf(session.outputs).name);
  const entries = unlessRefused(() => cacheEntries(session.inputs, session.outputs));
  if (!logits || !entries) return;
  const read = async (rows: readonly (readonly number[])[], past: number, cache: Feeds) => {
    const found = await session.run({ ...feedsOf(signature, rows, past), ...cache }, [logits, ...entries.map((e) => e.output)]);
    return { logits: logitsByToken(found[logits] as TensorValue, rows.length, rows[0]?.length ?? 0), next: nextCache(entries, found) };
  };
  const whole = await read(texts, 0, emptyCache(signature.caches, texts.length));
  if (whole.logits.every(isDistribution))
    throw new EspalierError(
      "NO_LOGITS",
      `the model's output "${logits}" holds probabilities, not logits; export it without the softmax at its end`,
      { output: logits },
    );
  if (entries.length === 0) return;
  const [text = []] = texts;
  const at = text.length - 2;
  let { next } = await read([text.slice(0, at)], 0, emptyCache(signature.caches, 1));
  for (const t of [at, at + 1]) {
    const step = await read([[text[t] as number]], t, next);
    next = step.next;
    if (!alike(step.logits[0] as Float32Array, whole.logits[t] as Float32Array))
      throw new EspalierError(
        "UNSUPPORTED_CACHE",
        "the model's cache does not do what a cache is for: a token after a cache has other logits than after the text that the cache is of",
      );
  }
}

/** Null if it is refused: what stands in the way is for others to say. */
export function unlessRefused<T>(step: () => T): T | null {
  try {
    return step();
  } catch (error) {
    if (error instanceof EspalierError) return null;
    throw error;
  }
}

function isDistribution(values: Float32Array): boolean {
  const sum = values.reduce((a, b) => a + b, 0);
  return Math.abs(sum - 1) < 1e-2 && values.every((v) => v >= 0);
}

/** Numbers that are none are for others to judge. */
function alike(found: Float32Array, expected: Float32Array): boolean {
  const mean = expected.reduce((a, b) => a + b, 0) / expected.length;
  const spread = expected.reduce((a, b) => a + (b - mean) ** 2, 0);
  return !(found.reduce((a, b, i) => a + (b - (expected[i] as number)) ** 2, 0) > mostApart * spread + 1e-6);
}
