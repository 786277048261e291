import { EspalierError } from "../errors.ts";
import { isFloat, type ValueInfo } from "../onnx/ir.ts";
import { cacheEntries, emptyCacheDims, logitsOf, type Signature, signatureOf } from "../onnx/signature.ts";
import { halfToNumber, integerArray } from "../onnx/tensors.ts";
import type { Session, TensorValue } from "../runtime/session.ts";

/** Ids below 10 are in every vocabulary. */
const texts = [
  [3, 4, 5, 6, 7],
  [8, 3, 9, 4, 5],
];

/** Of the spread of a token's logits, squared: arithmetic and quantised activations differ by less, a cache that is lost by more. */
const mostApart = 0.1;

type Cache = Readonly<Record<string, TensorValue>>;

/**
 * Checks by short runs what all use of a model relies on: texts of any number and length go in, logits come out for each of their
 * tokens, and tokens that follow a cache read as they do after the text itself. Of inputs and outputs whose roles are not known
 * nothing is said here: that is for other checks.
 *
 * @throws EspalierError UNSUPPORTED_INPUT if sizes are fixed; NO_LOGITS if some tokens have none, or they are probabilities;
 *   UNSUPPORTED_CACHE if it does not do what a cache does; ONNX_RUNTIME if the model does not run
 */
export async function requireUsable(session: Session): Promise<void> {
  const signature = known(() => signatureOf(session.inputs));
  if (!signature) return;
  requireDynamic(signature);
  const logits = known(() => logitsOf(session.outputs).name);
  const entries = known(() => cacheEntries(session.inputs, session.outputs));
  if (!logits || !entries) return;
  const read = async (rows: readonly (readonly number[])[], past: number, cache: Cache) => {
    const found = await session.run({ ...feeds(signature, rows, past), ...cache }, [logits, ...entries.map((e) => e.output)]);
    const next = Object.fromEntries(entries.map((e) => [e.input.name, found[e.output] as TensorValue]));
    return { logits: rowsOf(found[logits] as TensorValue, rows), next };
  };
  const whole = await read(texts, 0, empty(signature, texts.length));
  if (whole.logits.every(isDistribution))
    throw new EspalierError(
      "NO_LOGITS",
      `the model's output "${logits}" holds probabilities, not logits; export it without the softmax at its end`,
      { output: logits },
    );
  if (entries.length === 0) return;
  const [text = []] = texts;
  const at = text.length - 2;
  let { next } = await read([text.slice(0, at)], 0, empty(signature, 1));
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

/** What others say if it cannot be had. */
function known<T>(step: () => T): T | null {
  try {
    return step();
  } catch (error) {
    if (error instanceof EspalierError) return null;
    throw error;
  }
}

/** Sizes that a model fixes cannot be told from those of its own that happen to be as large: it would work for such texts only. */
function requireDynamic({ tokens, mask, positions, caches }: Signature): void {
  const isFixed = ({ shape }: ValueInfo, least: number) => shape !== null && shape.filter((d) => typeof d !== "number").length < least;
  const fixed = [tokens, mask, positions, ...caches].find((input) => input && isFixed(input, 2));
  if (fixed)
    throw new EspalierError(
      "UNSUPPORTED_INPUT",
      `input "${fixed.name}" has the fixed shape [${fixed.shape?.map((d) => d || "?").join(", ")}]: batches and texts of any length must go in; ` +
        "export the model with dynamic batch and sequence axes",
      { input: fixed.name },
    );
}

function feeds({ tokens, mask, positions }: Signature, rows: readonly (readonly number[])[], past: number): Record<string, TensorValue> {
  const T = rows[0]?.length ?? 0;
  const of = (input: ValueInfo | null, width: number, value: (row: readonly number[], t: number) => number) =>
    input && {
      [input.name]: {
        dataType: input.dataType,
        dims: [rows.length, width],
        data: integerArray(input.dataType, rows.length * width, (i) => value(rows[Math.floor(i / width)] ?? [], i % width)),
      },
    };
  return {
    ...of(tokens, T, (row, t) => row[t] as number),
    ...of(mask, past + T, () => 1),
    ...of(positions, T, (_, t) => past + t),
  };
}

const empty = ({ caches }: Signature, batch: number): Cache =>
  Object.fromEntries(
    caches.map((input) => {
      const data = input.dataType === "float16" ? new Uint16Array() : new Float32Array();
      return [input.name, { dataType: input.dataType, dims: emptyCacheDims(input, batch), data }];
    }),
  );

/** Logits [V] of each token, row after row. */
function rowsOf({ dataType, dims, data }: TensorValue, rows: readonly (readonly number[])[]): Float32Array[] {
  const [B, T] = [rows.length, rows[0]?.length ?? 0];
  if (dims.length !== 3 || dims[0] !== B || dims[1] !== T || !isFloat(dataType))
    throw new EspalierError(
      "NO_LOGITS",
      `of ${B} texts of ${T} tokens the model gives logits of shape [${dims}], which must be [${B}, ${T}, vocabulary]; ` +
        "export it with logits for every token, not for the last alone",
      { dims },
    );
  const values = dataType === "float16" ? Float32Array.from(data as Uint16Array, halfToNumber) : (data as Float32Array);
  const V = dims[2] as number;
  return Array.from({ length: B * T }, (_, i) => values.subarray(i * V, (i + 1) * V));
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
