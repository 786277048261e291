import { type Grid, nearestScale, span } from "./grid.ts";

/** Shares of what a block spans that are tried. */
const shares = [1, 0.92, 0.84, 0.76, 0.68];

/**
 * Scale and zero point of each output by which a block loses least, of some: those that span it or part of it, and the same with the scale that fits their
 * codes best, `sum d z w / sum d z^2` with z the code less the zero point.
 *
 * @param rows weights [count, m] of a block
 * @param costs d [count]: what the square of an error in each input counts
 * @param scales [m], which is written
 * @param zeroPoints [m], which is written
 */
export function bestSpan(
  grid: Grid,
  rows: Float32Array | Float64Array,
  costs: Float64Array,
  scales: Float32Array,
  zeroPoints: Uint8Array,
): void {
  const m = scales.length;
  const last = 2 ** grid.bits - 1;
  const least = new Float64Array(m).fill(Number.POSITIVE_INFINITY);
  const [own, zeros] = [new Float32Array(m), new Uint8Array(m)];
  const [losses, upper, lower] = [new Float64Array(m), new Float64Array(m), new Float64Array(m)];
  for (const share of shares) {
    span(grid, rows, own, zeros, share);
    for (const isFitted of [false, true]) {
      if (isFitted)
        for (let c = 0; c < m; c++) if ((lower[c] as number) > 0) own[c] = nearestScale(grid, (upper[c] as number) / (lower[c] as number));
      for (const sums of [losses, upper, lower]) sums.fill(0);
      for (let i = 0, at = 0; at < rows.length; i++, at += m) {
        const d = costs[i] as number;
        for (let c = 0; c < m; c++) {
          const [w, scale, zero] = [rows[at + c] as number, own[c] as number, zeros[c] as number];
          const z = scale === 0 ? 0 : Math.max(-zero, Math.min(last - zero, Math.round(w / scale)));
          const error = w - scale * z;
          losses[c] = (losses[c] as number) + d * error * error;
          upper[c] = (upper[c] as number) + d * z * w;
          lower[c] = (lower[c] as number) + d * z * z;
        }
      }
      for (let c = 0; c < m; c++) {
        if (!((losses[c] as number) < (least[c] as number))) continue;
        least[c] = losses[c] as number;
        scales[c] = own[c] as number;
        zeroPoints[c] = zeros[c] as number;
      }
    }
  }
}
