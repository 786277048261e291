const leastNormal = 2 ** -14;
const step = 2 ** -24;
const most = 65_504;

/**
 * The nearest number that float16 holds (IEEE 754 binary16); beyond its range the last one.
 *
 * @param bits of its significand, if it is to have fewer than there is place for
 */
export function nearestFloat16(x: number, bits = 11): number {
  // Leaves so many of the 53 bits, rounded (Veltkamp 1968).
  const wide = x * (2 ** (53 - bits) + 1);
  const rounded = wide - (wide - x);
  if (Math.abs(rounded) < leastNormal) return Math.round((bits < 11 ? rounded : x) / step) * step;
  return Math.max(-most, Math.min(most, rounded));
}
