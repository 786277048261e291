import { EspalierError } from "../errors.ts";
import { largest } from "../large-lists.ts";
import { numberAt } from "../number-at.ts";
import type { Session, TensorValue } from "../runtime/session.ts";
import { emptyCache } from "../signature/caches.ts";
import { feedsOf } from "../signature/feeds.ts";
import { isByToken, logitsByToken, mainOutputOf } from "../signature/logits.ts";
import { type Signature, trialSignatureOf } from "../signature/signature.ts";
import { unlessRefused } from "./unless-refused.ts";

/** Two texts that begin alike. Ids below 10 are in every vocabulary. */
const texts: readonly (readonly number[])[] = [
  [3, 4, 5, 6, 7, 8],
  [3, 4, 5, 9, 3, 7],
];
const alike = 3;

/** What arithmetic may differ by, of what a changed token changes at its own place. An encoder's earlier tokens differ by far more. */
const noise = 1e-3;

type Rows = readonly (readonly number[])[];

/** What a model gave for texts of the same length. */
export interface ReadTexts {
  readonly rows: Rows;
  readonly output: string;
  /** [B][T][elements of each token] */
  readonly values: readonly (readonly Float32Array[])[];
}

/** The logits of a run, or what else comes first; null if the model gives none by token. */
async function runOn(session: Session, signature: Signature, rows: Rows): Promise<ReadTexts | null> {
  const feeds = { ...feedsOf(signature, rows, 0), ...emptyCache(signature.caches, rows.length) };
  const output = mainOutputOf(session.outputs)?.name ?? "";
  const first = (await session.run(feeds, [output]))[output] as TensorValue;
  const T = rows[0]?.length ?? 0;
  if (!isByToken(first, rows.length, T)) return null;
  const found = logitsByToken(first, rows.length, T);
  return { rows, output, values: rows.map((_, b) => found.slice(b * T, (b + 1) * T)) };
}

/**
 * Runs a model on two texts that begin alike: what it says of the tokens that are alike must be the same. Both lie in one batch
 * where it takes one, for scales of quantised activations are shared by all of a batch.
 *
 * Nothing is said of a model that cannot be fed by this, or gives nothing for each token: that is for other checks to say.
 *
 * @returns the texts as they were read, if that was in one batch: each run reads all weights; else null
 * @throws EspalierError NOT_CAUSAL if earlier tokens change with later ones; ONNX_RUNTIME if the model does not run
 */
export async function requireCausal(session: Session): Promise<ReadTexts | null> {
  const signature = unlessRefused(() => {
    const found = trialSignatureOf(session.inputs);
    emptyCache(found.caches, 1);
    return found;
  });
  if (!signature) return null;
  const [batch, length] = signature.tokens.shape ?? [];
  const T = typeof length === "number" && length > 0 ? length : (texts[0]?.length ?? 0);
  const rows = texts.map((text) => Array.from({ length: T }, (_, t) => numberAt(text, t % text.length)));
  const fixed = typeof batch === "number" && batch > 0 ? batch : rows.length;
  // A batch of another size is filled with one text, then with the other.
  const batches = fixed === rows.length ? [rows] : rows.map((row) => Array.from({ length: fixed }, () => row));
  const reads: ReadTexts[] = [];
  for (const each of batches) {
    const read = await runOn(session, signature, each);
    if (!read) return null;
    reads.push(read);
  }
  const [a = [], b = []] = batches.length === 1 ? (reads[0]?.values ?? []) : reads.map(({ values }) => values[0] ?? []);
  const apart = a.map((values, t) => values.reduce((most, v, i) => Math.max(most, Math.abs(v - numberAt(b[t] ?? [], i))), 0));
  const [before, after] = [largest([0, ...apart.slice(0, alike)]), largest([0, ...apart.slice(alike)])];
  if (before > noise * after)
    throw new EspalierError(
      "NOT_CAUSAL",
      "the model is an encoder, as BERT is, and not a causal language model: what it says of a token changes with the tokens after it. " +
        "A loss of the next token would see its answer, so encoders are neither pruned nor made to write; register a model that reads from left to right",
      { changeOfEarlier: before, changeOfLater: after },
    );
  return batches.length === 1 ? (reads[0] ?? null) : null;
}
