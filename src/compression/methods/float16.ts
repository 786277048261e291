const splitter = 2 ** 42 + 1;
const leastNormal = 2 ** -14;
const step = 2 ** -24;
const most = 65_504;

/** The nearest number that float16 holds (IEEE 754 binary16); beyond its range the last one. */
export function nearestFloat16(x: number): number {
  if (Math.abs(x) < leastNormal) return Math.round(x / step) * step;
  // Cuts 42 of the 53 bits off, rounded (Veltkamp 1968).
  const wide = x * splitter;
  return Math.max(-most, Math.min(most, wide - (wide - x)));
}
