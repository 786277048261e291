import { EspalierError } from "../errors.ts";
import type { ValueInfo } from "../onnx/ir.ts";
import type { Signature } from "../onnx/signature.ts";
import type { TensorArray, TensorValue } from "../runtime/session.ts";

const arrays: Readonly<Record<string, (values: readonly number[]) => TensorArray>> = {
  int64: (values) => BigInt64Array.from(values, BigInt),
  int32: (values) => Int32Array.from(values),
  bool: (values) => Uint8Array.from(values),
};

function integers(input: ValueInfo, rows: readonly (readonly number[])[]): TensorValue {
  const make = arrays[input.dataType];
  if (!make)
    throw new EspalierError("UNSUPPORTED_INPUT", `input "${input.name}" has type ${input.dataType}, not an integer type`, {
      input: input.name,
    });
  return { dataType: input.dataType, dims: [rows.length, rows[0]?.length ?? 0], data: make(rows.flat()) };
}

/**
 * What a model is fed for `rows` [B, T] of token ids that follow `past` earlier tokens: of tokens, mask and positions,
 * those it has inputs for. Nothing is padded, so every token is attended to.
 */
export function feedsOf(signature: Signature, rows: readonly (readonly number[])[], past: number): Record<string, TensorValue> {
  const { tokens, mask, positions } = signature;
  const feeds = { [tokens.name]: integers(tokens, rows) };
  const like = (values: (row: readonly number[]) => number[]) => rows.map(values);
  if (mask)
    feeds[mask.name] = integers(
      mask,
      like((row) => new Array<number>(past + row.length).fill(1)),
    );
  if (positions)
    feeds[positions.name] = integers(
      positions,
      like((row) => row.map((_, t) => past + t)),
    );
  return feeds;
}
