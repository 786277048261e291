import type { Quota } from "./masks.ts";

/** Sweeps over all moves; seldom are more than a few wanted. */
const sweeps = 20;

/**
 * Signs b of -1, 0 and 1 and a scale a that come near weights w: the least `(w - a b)' S (w - a b)`. For a b the best scale is `b'Sw / b'Sb`, and what it
 * saves is `(b'Sw)^2 / b'Sb`. From the signs that are given, one sign at a time is turned, set to 0 or moved to another place, while that saves more; so what
 * is found is never worse than what was given, and no such move betters it.
 *
 * @param s [g, g], symmetric and positive definite
 * @param w [g]
 * @param signs [g], which are written
 * @param quotas of places, of how many may be other than 0
 * @returns the scale, at least 0
 */
export function ternary(s: Float64Array, w: Float64Array, signs: Int8Array, quotas: readonly Quota[]): number {
  const g = w.length;
  const [sw, sb] = [new Float64Array(g), new Float64Array(g)];
  let [bw, bb] = [0, 0];
  for (let i = 0; i < g; i++) {
    let [x, y] = [0, 0];
    for (let j = 0; j < g; j++) {
      x += (s[i * g + j] as number) * (w[j] as number);
      y += (s[i * g + j] as number) * (signs[j] as number);
    }
    sw[i] = x;
    sb[i] = y;
    bw += (signs[i] as number) * x;
    bb += (signs[i] as number) * y;
  }
  let saved = bb > 0 ? bw ** 2 / bb : 0;

  /** Adds d to the sign of place i, and e to that of place k, if that saves more. */
  const tried = (i: number, d: number, k: number, e: number): boolean => {
    const nextW = bw + d * (sw[i] as number) + e * (sw[k] as number);
    const [own, other, between] = [s[i * (g + 1)] as number, s[k * (g + 1)] as number, s[i * g + k] as number];
    const nextB = bb + 2 * (d * (sb[i] as number) + e * (sb[k] as number)) + d * d * own + e * e * other + 2 * d * e * between;
    if (!(nextB > 0 && nextW ** 2 / nextB > saved * (1 + 1e-9))) return false;
    [bw, bb, saved] = [nextW, nextB, nextW ** 2 / nextB];
    signs[i] = (signs[i] as number) + d;
    signs[k] = (signs[k] as number) + e;
    for (let j = 0; j < g; j++) sb[j] = (sb[j] as number) + d * (s[i * g + j] as number) + e * (s[k * g + j] as number);
    return true;
  };

  for (let sweep = 0, moved = true; moved && sweep < sweeps; sweep++) {
    moved = false;
    for (const { from, to, kept } of quotas) {
      let used = 0;
      for (let i = from; i < to; i++) if (signs[i] !== 0) used++;
      for (let i = from; i < to; i++) {
        const sign = signs[i] as number;
        if (sign === 0) {
          if (used < kept && (tried(i, 1, i, 0) || tried(i, -1, i, 0))) {
            used++;
            moved = true;
          }
          continue;
        }
        if (tried(i, -2 * sign, i, 0)) moved = true;
        const now = signs[i] as number;
        if (tried(i, -now, i, 0)) {
          used--;
          moved = true;
          continue;
        }
        for (let k = from; k < to; k++)
          if (signs[k] === 0 && (tried(i, -now, k, 1) || tried(i, -now, k, -1))) {
            moved = true;
            break;
          }
      }
    }
  }
  if (bw < 0) for (let i = 0; i < g; i++) signs[i] = -(signs[i] as number);
  return bb > 0 ? Math.abs(bw) / bb : 0;
}
