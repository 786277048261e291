import { EspalierError } from "../errors.ts";
import { isFloat, sizeOf, type ValueInfo } from "../onnx/ir.ts";
import { cacheDims } from "../onnx/signature.ts";
import { halfToNumber, integerArray, isInteger } from "../onnx/tensors.ts";
import type { Session, TensorValue } from "../runtime/session.ts";

/** Two texts that begin alike. Ids below 10 are in every vocabulary. */
const texts: readonly (readonly number[])[] = [
  [3, 4, 5, 6, 7, 8],
  [3, 4, 5, 9, 3, 7],
];
const alike = 3;

/** What arithmetic may differ by, of what a changed token changes at its own place. An encoder's earlier tokens differ by far more. */
const noise = 1e-3;

/** By the inputs' names, what the token at a place of a row is fed; other integers (segments) are zeros. */
const integers: Readonly<Record<string, (row: readonly number[], t: number) => number>> = {
  input_ids: (row, t) => row[t] as number,
  attention_mask: () => 1,
  position_ids: (_, t) => t,
};

type Rows = readonly (readonly number[])[];

/** Rows [B, T] of an input of integers, or an empty cache; null for an input that is neither. */
function feed(input: ValueInfo, rows: Rows): TensorValue | null {
  const { name, dataType } = input;
  const shape = input.shape ?? [];
  if (isInteger(dataType) && shape.length === 2) {
    const value = integers[name] ?? (() => 0);
    const all = rows.flatMap((row) => row.map((_, t) => value(row, t)));
    return { dataType, dims: [rows.length, rows[0]?.length ?? 0], data: integerArray(dataType, all.length, (i) => all[i] as number) };
  }
  const dims = cacheDims(input, rows.length, 0);
  if (!isFloat(dataType) || shape.length < 3 || sizeOf(dims) > 0) return null;
  return { dataType, dims, data: dataType === "float16" ? new Uint16Array() : new Float32Array() };
}

/** The logits of a run, or what else comes first, as [B, T, elements of each token]; null if the model cannot be fed, or gives none such. */
async function runOn(session: Session, rows: Rows): Promise<readonly (readonly Float32Array[])[] | null> {
  const feeds = session.inputs.map((input) => [input.name, feed(input, rows)] as const);
  if (feeds.some(([, value]) => value === null)) return null;
  const names = session.outputs.map((o) => o.name);
  const output = names.includes("logits") ? "logits" : (names[0] as string);
  const first = (await session.run(Object.fromEntries(feeds) as Record<string, TensorValue>, [output]))[output];
  const [B = 0, T = 0] = [rows.length, rows[0]?.length];
  if (first?.dims.length !== 3 || first.dims[0] !== B || first.dims[1] !== T || !isFloat(first.dataType)) return null;
  const data = first.dataType === "float16" ? Float32Array.from(first.data as Uint16Array, halfToNumber) : (first.data as Float32Array);
  const width = first.dims[2] as number;
  return rows.map((_, b) => Array.from({ length: T }, (_, t) => data.subarray((b * T + t) * width, (b * T + t + 1) * width)));
}

/**
 * Runs a model on two texts that begin alike: what it says of the tokens that are alike must be the same. Both lie in one batch
 * where it takes one, for scales of quantised activations are shared by all of a batch.
 *
 * Nothing is said of a model that cannot be fed by this, or gives nothing for each token: that is for other checks to say.
 *
 * @throws EspalierError NOT_CAUSAL if earlier tokens change with later ones; ONNX_RUNTIME if the model does not run
 */
export async function requireCausal(session: Session): Promise<void> {
  const [batch, length] = session.inputs.find((i) => i.name === "input_ids")?.shape ?? [];
  const T = typeof length === "number" && length > 0 ? length : (texts[0]?.length ?? 0);
  const rows = texts.map((text) => Array.from({ length: T }, (_, t) => text[t % text.length] as number));
  const fixed = typeof batch === "number" && batch > 0 ? batch : rows.length;
  // A batch of another size is filled with one text, then with the other.
  const batches = fixed === rows.length ? [rows] : rows.map((row) => Array.from({ length: fixed }, () => row));
  const found: (readonly Float32Array[])[] = [];
  for (const each of batches) {
    const given = await runOn(session, each);
    if (!given) return;
    found.push(...(batches.length === 1 ? given : given.slice(0, 1)));
  }
  const [a = [], b = []] = found;
  const apart = a.map((values, t) => values.reduce((most, v, i) => Math.max(most, Math.abs(v - (b[t]?.[i] as number))), 0));
  const [before, after] = [Math.max(0, ...apart.slice(0, alike)), Math.max(0, ...apart.slice(alike))];
  if (before > noise * after)
    throw new EspalierError(
      "NOT_CAUSAL",
      "the model is an encoder, as BERT is, and not a causal language model: what it says of a token changes with the tokens after it. " +
        "A loss of the next token would see its answer, so encoders are neither pruned nor made to write; register a model that reads from left to right",
      { changeOfEarlier: before, changeOfLater: after },
    );
}
