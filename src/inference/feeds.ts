import type { ValueInfo } from "../onnx/ir.ts";
import type { Signature } from "../onnx/signature.ts";
import { integerArray } from "../onnx/tensors.ts";
import type { TensorValue } from "../runtime/session.ts";

function integers({ dataType }: ValueInfo, rows: readonly (readonly number[])[]): TensorValue {
  const values = rows.flat();
  const data = integerArray(dataType, values.length, (i) => values[i] as number);
  return { dataType, dims: [rows.length, rows[0]?.length ?? 0], data };
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
