import { emptyBlocks, extremes, gridOf, nearestCodes, span } from "./grid.ts";
import type { CompressionMethod } from "./method.ts";

/** Round to nearest: each weight has the nearest code. */
export const rtn: CompressionMethod = {
  name: "RTN",
  description: "Round to nearest: each weight becomes the nearest of its block's levels. No text is read.",
  schemes: ["INT4", "INT8"],
  needsGram: false,
  async compress({ inputs, matrices }, options) {
    const grid = gridOf(options);
    const { bits, blockSize } = grid;
    return matrices.map(({ weights, outputs: m }) => {
      const blocks = emptyBlocks(bits, blockSize, inputs, m);
      for (let from = 0, b = 0; from < inputs; from += blockSize, b++) {
        const to = Math.min(from + blockSize, inputs);
        const { low, high } = extremes(weights.subarray(from * m, to * m), m);
        const scales = blocks.scales.subarray(b * m, (b + 1) * m);
        const zeroPoints = blocks.zeroPoints.subarray(b * m, (b + 1) * m);
        span(grid, low, high, scales, zeroPoints);
        for (let i = from; i < to; i++) {
          const row = [i * m, (i + 1) * m] as const;
          nearestCodes(grid, weights.subarray(...row), scales, zeroPoints, blocks.codes.subarray(...row));
        }
      }
      return { result: blocks };
    });
  },
};
