import { EspalierError } from "../errors.ts";
import { largest } from "../large-lists.ts";
import type { Answer } from "../model-task.ts";
import { numberAt } from "../number-at.ts";
import { isFloat } from "../onnx/ir.ts";
import type { Session, TensorValue } from "../runtime/session.ts";
import { emptyCache } from "../signature/caches.ts";
import { feedsOf } from "../signature/feeds.ts";
import { float32Logits, isByToken, logitsByToken, mainOutputOf } from "../signature/logits.ts";
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
  /** [B][T][elements of each token]; of a model that answers by text, [B][1][elements]. */
  readonly values: readonly (readonly Float32Array[])[];
}

/** What a model answers to two texts. */
export interface FirstAnswer {
  readonly answer: Answer;
  /** The texts as they were read, if that was in one batch, and by token: each run reads all weights; else null. */
  readonly read: ReadTexts | null;
}

/** What a run gave by token, or by text; null if it gave neither. */
async function runOn(session: Session, signature: Signature, rows: Rows): Promise<(ReadTexts & { readonly byToken: boolean }) | null> {
  const feeds = { ...feedsOf(signature, rows, 0), ...emptyCache(signature.caches, rows.length) };
  const output = mainOutputOf(session.outputs)?.name ?? "";
  const first = (await session.run(feeds, [output]))[output] as TensorValue;
  const [B, T] = [rows.length, rows[0]?.length ?? 0];
  if (isByToken(first, B, T)) {
    const found = logitsByToken(first, B, T);
    return { rows, output, byToken: true, values: rows.map((_, b) => found.slice(b * T, (b + 1) * T)) };
  }
  if (first.dims.length !== 2 || first.dims[0] !== B || !isFloat(first.dataType)) return null;
  const [values, width] = [float32Logits(first), numberAt(first.dims, 1)];
  return { rows, output, byToken: false, values: rows.map((_, b) => [values.subarray(b * width, (b + 1) * width)]) };
}

/**
 * Runs a model on two texts that begin alike: what a causal model says of the tokens that are alike must be the same. Both lie in one batch
 * where it takes one, for scales of quantised activations are shared by all of a batch.
 *
 * Nothing is said of a model that cannot be fed by this, or answers neither by token nor by text: that is for other checks to say.
 *
 * @throws EspalierError UNSUPPORTED_INPUT if a causal model takes token types; ONNX_RUNTIME if the model does not run
 */
export async function firstAnswer(session: Session): Promise<FirstAnswer | null> {
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
  const reads: (ReadTexts & { readonly byToken: boolean })[] = [];
  for (const each of batches) {
    const read = await runOn(session, signature, each);
    if (!read) return null;
    reads.push(read);
  }
  const [a = [], b = []] = batches.length === 1 ? (reads[0]?.values ?? []) : reads.map(({ values }) => values[0] ?? []);
  const { output: name, byToken, values } = reads[0] as (typeof reads)[number];
  const causal = byToken && isCausal(a, b);
  const [other] = signature.tokenTypes;
  if (causal && other)
    throw new EspalierError("UNSUPPORTED_INPUT", `the model has inputs whose role is not known in a causal model: ${other.name}`, {
      inputs: signature.tokenTypes.map((i) => i.name),
    });
  const answer = { name, byToken, width: values[0]?.[0]?.length ?? 0, causal };
  return { answer, read: batches.length === 1 && byToken ? (reads[0] ?? null) : null };
}

/** Whether what is said of the tokens that two texts have alike differs by far less than what is said of the others. */
function isCausal(a: readonly Float32Array[], b: readonly Float32Array[]): boolean {
  const apart = a.map((values, t) => values.reduce((most, v, i) => Math.max(most, Math.abs(v - numberAt(b[t] ?? [], i))), 0));
  const [before, after] = [largest([0, ...apart.slice(0, alike)]), largest([0, ...apart.slice(alike)])];
  return !(before > noise * after);
}
