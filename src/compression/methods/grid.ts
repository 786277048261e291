import type { CompressionOptions } from "../options.ts";
import { nearestFloat16 } from "./float16.ts";
import type { Blocks } from "./method.ts";

/** Codes of so many bits, and how blocks of them lie. */
export interface Grid {
  readonly bits: 4 | 8;
  readonly blockSize: number;
  readonly symmetric: boolean;
}

export const gridOf = ({ scheme, blockSize, symmetric }: CompressionOptions): Grid => ({
  bits: scheme === "INT8" ? 8 : 4,
  blockSize,
  symmetric,
});

/**
 * The nearest number that a scale may be. Where codes of four bits have a zero point z, a scale s has 7 bits, so that float16 holds s z too: then
 * blocks are those of GGUF's Q4_1 as they are, whose levels are `s code + m` with m = -s z in float16.
 */
export const nearestScale = ({ bits, symmetric }: Pick<Grid, "bits" | "symmetric">, x: number): number =>
  nearestFloat16(x, bits === 4 && !symmetric ? 7 : 11);

/** Codes that are yet to be found of weights [inputs, outputs]. */
export const emptyBlocks = (bits: Blocks["bits"], blockSize: number, inputs: number, outputs: number): Blocks => ({
  kind: "BLOCKS",
  bits,
  blockSize,
  codes: new Uint8Array(inputs * outputs),
  scales: new Float32Array(Math.ceil(inputs / blockSize) * outputs),
  zeroPoints: new Uint8Array(Math.ceil(inputs / blockSize) * outputs),
});

/**
 * Scale and zero point of each output, from the least and the most of its weights in a block.
 *
 * Symmetric codes give what is largest the code 0, whichever its sign: there is one code more on that side. Others span
 * from the least to the most, and hold 0 exactly.
 *
 * @param rows weights [count, m] of a block
 * @param scales [m], which is written
 * @param zeroPoints [m], which is written
 * @param share of what they span, for weights at the ends to have the last code
 */
export function span(
  grid: Pick<Grid, "bits" | "symmetric">,
  rows: Float32Array | Float64Array,
  scales: Float32Array,
  zeroPoints: Uint8Array,
  share = 1,
): void {
  const { bits, symmetric } = grid;
  const m = scales.length;
  const last = 2 ** bits - 1;
  const middle = 2 ** (bits - 1);
  const [low, high] = extremes(rows, m);
  for (let c = 0; c < m; c++) {
    const [min, max] = [share * (low[c] as number), share * (high[c] as number)];
    const scale = nearestScale(grid, symmetric ? (max > -min ? max : min) / -middle : (max - min) / last);
    scales[c] = scale;
    zeroPoints[c] = symmetric ? middle : scale === 0 ? 0 : Math.max(0, Math.min(last, Math.round(-min / scale)));
  }
}

/** The least and the most of each column, and of 0. */
function extremes(rows: Float32Array | Float64Array, m: number): [Float64Array, Float64Array] {
  const [low, high] = [new Float64Array(m), new Float64Array(m)];
  for (let at = 0; at < rows.length; at += m)
    for (let c = 0; c < m; c++) {
      const w = rows[at + c] as number;
      if (w < (low[c] as number)) low[c] = w;
      if (w > (high[c] as number)) high[c] = w;
    }
  return [low, high];
}

/** The nearest codes of weights [m] of one input. Where a scale is 0, all codes are the zero point. */
export function nearestCodes(
  { bits }: Pick<Grid, "bits">,
  weights: Float32Array | Float64Array,
  scales: Float32Array,
  zeroPoints: Uint8Array,
  codes: Uint8Array,
): void {
  const last = 2 ** bits - 1;
  for (let c = 0; c < codes.length; c++) {
    const [scale, zero] = [scales[c] as number, zeroPoints[c] as number];
    codes[c] = scale === 0 ? zero : Math.max(0, Math.min(last, Math.round((weights[c] as number) / scale) + zero));
  }
}
