import { numberAt } from "../../number-at.ts";

/** The float32 of each binary16, by its bits; made when it is first asked for. */
let table: Float32Array | null = null;

export function halves(): Float32Array {
  if (table) return table;
  table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) table[bits] = numberOf(bits);
  return table;
}

/** IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
function numberOf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(bits >> 10) & 0x1f, bits & 0x3ff];
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

const float = new Float32Array(1);
const whole = new Uint32Array(float.buffer);

/** The bits of the binary16 nearest to a float32, ties to even; beyond its range, infinite. */
export function halfOf(value: number): number {
  float[0] = value;
  return halfOfBits(numberAt(whole, 0));
}

/** The same of a float32 that is given by its bits. */
export function halfOfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const size = bits & 0x7fffffff;
  if (size > 0x7f800000) return sign | 0x7e00;
  // 65,520 and more round to infinity.
  if (size >= 0x477ff000) return sign | 0x7c00;
  // Normal numbers: the exponent's bias changes by 112, and 13 bits of the fraction are rounded away.
  if (size >= 0x38800000) return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
  if (size < 0x33000000) return sign;
  const shift = 126 - (size >>> 23);
  const fraction = (size & 0x7fffff) | 0x800000;
  const [kept, rest, tie] = [fraction >>> shift, fraction & ((1 << shift) - 1), 1 << (shift - 1)];
  return sign | (rest > tie || (rest === tie && kept & 1) ? kept + 1 : kept);
}

/** The bits of the bfloat16 nearest to a float32 that is given by its bits, ties to even. */
export const bfloatOfBits = (bits: number): number =>
  (bits & 0x7fffffff) > 0x7f800000 ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
