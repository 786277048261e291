import type { CompressionOptions } from "../options.ts";
import { emptyBlocks, type Grid, gridOf, nearestCodes } from "./grid.ts";
import type { Compressed, Group } from "./method.ts";

/**
 * Each weight as the nearest of its block's levels.
 *
 * @param fit writes scales and zero points [m] of the weights [count, m] of a block, given which input is its first
 */
export function roundToNearest(
  { inputs, matrices }: Pick<Group, "inputs" | "matrices">,
  options: CompressionOptions,
  fit: (grid: Grid, rows: Float32Array, scales: Float32Array, zeroPoints: Uint8Array, from: number) => void,
): Compressed[] {
  const grid = gridOf(options);
  const { bits, blockSize } = grid;
  return matrices.map(({ weights, outputs: m }) => {
    const blocks = emptyBlocks(bits, blockSize, inputs, m);
    for (let from = 0, b = 0; from < inputs; from += blockSize, b++) {
      const to = Math.min(from + blockSize, inputs);
      const scales = blocks.scales.subarray(b * m, (b + 1) * m);
      const zeroPoints = blocks.zeroPoints.subarray(b * m, (b + 1) * m);
      fit(grid, weights.subarray(from * m, to * m), scales, zeroPoints, from);
      for (let i = from; i < to; i++) {
        const row = [i * m, (i + 1) * m] as const;
        nearestCodes(grid, weights.subarray(...row), scales, zeroPoints, blocks.codes.subarray(...row));
      }
    }
    return { result: blocks };
  });
}
