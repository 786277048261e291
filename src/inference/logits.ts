import { EspalierError } from "../errors.ts";
import type { TensorValue } from "../runtime/session.ts";

/** Logits as float32. @throws EspalierError UNSUPPORTED_LOGITS for a type that is neither float32 nor float16 */
export function float32Logits({ dataType, data }: TensorValue): Float32Array {
  if (data instanceof Float32Array) return data;
  if (dataType === "float16") return Float32Array.from(data as Uint16Array, halfToNumber);
  throw new EspalierError("UNSUPPORTED_LOGITS", `the model's logits are ${dataType}; float32 and float16 are read`, { dataType });
}

/** IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}
