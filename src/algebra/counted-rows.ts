import type { GraphBuilder, Value } from "../onnx/builder.ts";
import { sizeAt, sizeOf } from "../onnx/ir.ts";

/**
 * A value by its rows [rows, n], those of tokens that do not count being 0.
 *
 * @param v [.., n], with the tokens of all texts before; a token may have several rows
 * @param counted [tokens, 1, 1]: 1 for a token that counts, else 0
 */
export function countedRows(b: GraphBuilder, v: Value, counted: Value): Value {
  const width = sizeAt(v.shape, -1);
  const tokens = sizeAt(counted.shape, 0);
  const each = sizeOf(v.shape) / width / tokens;
  return b.reshape(b.mul(b.reshape(v, [tokens, each, width]), counted), [tokens * each, width]);
}
