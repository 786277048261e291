import { EspalierError } from "../errors.ts";
import { numberAt } from "../number-at.ts";
import type { Session, TensorValue } from "../runtime/session.ts";
import { cacheEntries, emptyCache, nextCache } from "../signature/caches.ts";
import { type Feeds, feedsOf } from "../signature/feeds.ts";
import { float32Logits, logitsByToken, logitsOf } from "../signature/logits.ts";
import { requireDynamic, signatureOf } from "../signature/signature.ts";
import type { ReadTexts } from "./probe.ts";
import { unlessRefused } from "./unless-refused.ts";

/** Ids below 10 are in every vocabulary. */
const texts = [
  [3, 4, 5, 6, 7],
  [8, 3, 9, 4, 5],
];

/** Of a text, so many tokens are read one by one, each after a cache. */
const steps = 2;

/** Of the spread of a token's logits, squared: arithmetic and quantised activations differ by less, a cache that is lost by more. */
const mostApart = 0.1;

/**
 * Checks by short runs what all use of a causal model relies on: texts of any number and length go in, logits come out for each of their
 * tokens, and tokens that follow a cache read as they do after the text itself. Of inputs and outputs whose roles are not known
 * nothing is said here: that is for other checks.
 *
 * @param known two texts as the model reads them, if it was run on them already
 * @throws EspalierError UNSUPPORTED_INPUT if sizes are fixed; NO_LOGITS if some tokens have none, or they are probabilities;
 *   UNSUPPORTED_CACHE if it does not do what a cache does; ONNX_RUNTIME if the model does not run
 */
export async function requireUsable(session: Session, known: ReadTexts | null = null): Promise<void> {
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
  const isKnown = known !== null && known.output === logits && (known.rows[0]?.length ?? 0) > steps;
  const [text = []] = isKnown ? known.rows : texts;
  const whole = isKnown ? known.values.flat() : (await read(texts, 0, emptyCache(signature.caches, texts.length))).logits;
  if (whole.every(isDistribution))
    throw new EspalierError(
      "NO_LOGITS",
      `the model's output "${logits}" holds probabilities, not logits; export it without the softmax at its end`,
      { output: logits },
    );
  if (entries.length === 0) return;
  const at = text.length - steps;
  let { next } = await read([text.slice(0, at)], 0, emptyCache(signature.caches, 1));
  for (let t = at; t < text.length; t++) {
    const step = await read([[numberAt(text, t)]], t, next);
    next = step.next;
    if (!alike(step.logits[0] as Float32Array, whole[t] as Float32Array))
      throw new EspalierError(
        "UNSUPPORTED_CACHE",
        "the model's cache does not do what a cache is for: a token after a cache has other logits than after the text that the cache is of",
      );
  }
}

/**
 * The same of a model whose tokens see what follows: texts of any number and length, some masked at their ends, go in.
 *
 * @param isLogits whether it answers by logits, not by vectors
 * @throws EspalierError UNSUPPORTED_INPUT if sizes are fixed, or it takes no mask; NO_LOGITS if they are probabilities; ONNX_RUNTIME
 */
export async function requireUsableEncoder(session: Session, output: string, isLogits: boolean): Promise<void> {
  const signature = unlessRefused(() => signatureOf(session.inputs));
  if (!signature) return;
  requireDynamic(signature);
  if (!signature.mask)
    throw new EspalierError(
      "UNSUPPORTED_INPUT",
      'the model\'s tokens see those that follow, and it has no input "attention_mask" to hide padding by; export it with one',
    );
  const [text = []] = texts;
  const found = (await session.run(feedsOf(signature, [text, text.slice(2)], 0), [output]))[output] as TensorValue;
  const width = found.dims.at(-1) ?? 1;
  const values = float32Logits(found);
  const rows = Array.from({ length: values.length / width }, (_, i) => values.subarray(i * width, (i + 1) * width));
  if (isLogits && width > 1 && rows.every(isDistribution))
    throw new EspalierError(
      "NO_LOGITS",
      `the model's output "${output}" holds probabilities, not logits; export it without the softmax at its end`,
      { output },
    );
}

function isDistribution(values: Float32Array): boolean {
  const sum = values.reduce((a, b) => a + b, 0);
  return Math.abs(sum - 1) < 1e-2 && values.every((v) => v >= 0);
}

/** Numbers that are none are for others to judge. */
function alike(found: Float32Array, expected: Float32Array): boolean {
  const mean = expected.reduce((a, b) => a + b, 0) / expected.length;
  const spread = expected.reduce((a, b) => a + (b - mean) ** 2, 0);
  return !(found.reduce((a, b, i) => a + (b - numberAt(expected, i)) ** 2, 0) > mostApart * spread + 1e-6);
}
