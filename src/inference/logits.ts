import { EspalierError } from "../errors.ts";
import { halfToNumber } from "../onnx/tensors.ts";
import type { TensorValue } from "../runtime/session.ts";

/** Logits as float32. @throws EspalierError UNSUPPORTED_LOGITS for a type that is neither float32 nor float16 */
export function float32Logits({ dataType, data }: TensorValue): Float32Array {
  if (data instanceof Float32Array) return data;
  if (dataType === "float16") return Float32Array.from(data as Uint16Array, halfToNumber);
  throw new EspalierError("UNSUPPORTED_LOGITS", `the model's logits are ${dataType}; float32 and float16 are read`, { dataType });
}
