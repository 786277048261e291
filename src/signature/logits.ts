import { EspalierError } from "../errors.ts";
import { isFloat, sizeAt, type ValueInfo } from "../onnx/ir.ts";
import { floatsOf } from "../onnx/tensors.ts";
import type { TensorValue } from "../runtime/session.ts";

/** Names of outputs that others are less than, the best first: logits, and texts as vectors, pooled as the model has it. */
const telling = ["logits", "sentence_embedding"];

/** The output that tells most: the one of a telling name, or else the first, where exporters that make up names put it. */
export const mainOutputOf = (outputs: readonly ValueInfo[]): ValueInfo | undefined =>
  telling.flatMap((name) => outputs.find((o) => o.name === name) ?? [])[0] ?? outputs[0];

/**
 * What a model says: of each token [B, T, V], or of each text [B, V]; logits or hidden states.
 *
 * @throws EspalierError NO_LOGITS if that is not of floats
 */
export function answerOf(outputs: readonly ValueInfo[]): ValueInfo {
  const main = mainOutputOf(outputs);
  if (main && isFloat(main.dataType) && (main.shape === null || main.shape.length === 2 || main.shape.length === 3)) return main;
  throw new EspalierError(
    "NO_LOGITS",
    `the model has no output of floats by token or by text; its outputs are: ${outputs.map((o) => o.name).join(", ")}`,
    { outputs: outputs.map((o) => o.name) },
  );
}

/**
 * The output [B, T, V] that predicts the next token.
 *
 * @throws EspalierError NO_LOGITS
 */
export function logitsOf(outputs: readonly ValueInfo[]): ValueInfo {
  const logits = mainOutputOf(outputs);
  const shaped = logits && isFloat(logits.dataType) && (logits.shape === null || logits.shape.length === 3);
  if (shaped && !logits.name.includes("hidden_state")) return logits;
  throw new EspalierError(
    "NO_LOGITS",
    `the model has no float output "logits" of shape [batch, sequence, vocabulary]; export it with its language-model head. Its outputs are: ${outputs.map((o) => o.name).join(", ")}`,
    { outputs: outputs.map((o) => o.name) },
  );
}

/** What a run gave, of floats of any width, as float32; copied only where it is of another type. @throws EspalierError TENSOR_TYPE */
export function float32Logits({ dataType, data }: TensorValue): Float32Array {
  if (data instanceof Float32Array) return data;
  return floatsOf({ name: "logits", dataType }, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
}

/** Whether a run gave floats for each of the B * T tokens that it was fed: [B, T, V]. */
export const isByToken = ({ dataType, dims }: TensorValue, B: number, T: number): boolean =>
  dims.length === 3 && dims[0] === B && dims[1] === T && isFloat(dataType);

/**
 * Logits [V] of each of the B * T tokens that a run was fed, row after row.
 *
 * @throws EspalierError NO_LOGITS if there are none of some tokens: of all but the last, for instance
 */
export function logitsByToken(logits: TensorValue, B: number, T: number): Float32Array[] {
  const { dims } = logits;
  if (!isByToken(logits, B, T))
    throw new EspalierError(
      "NO_LOGITS",
      `of ${B} texts of ${T} tokens the model gives logits of shape [${dims}], which must be [${B}, ${T}, vocabulary]; ` +
        "export it with logits for every token, not for the last alone",
      { dims },
    );
  const values = float32Logits(logits);
  const V = sizeAt(dims, 2);
  return Array.from({ length: B * T }, (_, i) => values.subarray(i * V, (i + 1) * V));
}
