import { EspalierError } from "../errors.ts";
import type { ValueInfo } from "../onnx/ir.ts";
import type { TensorValue } from "../runtime/session.ts";

/**
 * The output that holds the logits [B, T, V]: the one so named, or else the only one that is no cache entry.
 *
 * @throws EspalierError NO_LOGITS_OUTPUT
 */
export function logitsOutput(outputs: readonly ValueInfo[], caches: ReadonlySet<string>): string {
  const others = outputs.filter((o) => !caches.has(o.name));
  const found = others.find((o) => o.name === "logits") ?? (others.length === 1 ? others[0] : undefined);
  if (found) return found.name;
  const names = outputs.map((o) => o.name);
  throw new EspalierError("NO_LOGITS_OUTPUT", `the model has no output "logits"; its outputs are: ${names.join(", ")}`, { outputs: names });
}

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
