import { bestSpan } from "./best-span.ts";
import { clip } from "./clip.ts";
import { errorFactor, feedErrors } from "./feed-errors.ts";
import { gridOf, nearestCodes } from "./grid.ts";
import type { CompressionMethod } from "./method.ts";
import { blocksByTiles } from "./tiles.ts";

/**
 * Codes of one input after the other; the inputs that follow make up for what rounding changed (Frantar and others, arXiv 2210.17323).
 *
 * A block's scale is searched when its first input is reached, from its weights as they have become by then, with `1 / U_ii^2` for what an error in an
 * input costs. If inputs come by how strong they are, blocks are still those of the inputs as they lie, and their scales those of the weights as they were.
 */
export const gptq: CompressionMethod = {
  name: "GPTQ",
  description: "Rounds input by input, and lets the inputs that follow make up for what that changes (GPTQ). Reads texts.",
  schemes: ["INT4", "INT8"],
  options: ["activationOrder", "damping"],
  needsGram: true,
  async compress(group, options, algebra) {
    const { inputs: n, gram, matrices } = group;
    // What nothing multiplies, as a table of embeddings, has no statistics, and nothing that makes up for it.
    if (!gram) return clip.compress(group, options, algebra);
    const grid = gridOf(options);
    const { blockSize } = grid;
    const order = options.activationOrder ? strongestFirst(gram, n) : null;
    const u = await errorFactor(gram, n, options.damping, algebra, order);
    const costs = new Float64Array(n);
    for (let i = 0; i < n; i++) costs[order ? (order[i] as number) : i] = (u[i * (n + 1)] as number) ** -2;
    const found = [];
    for (const matrix of matrices) {
      const result = await blocksByTiles(group, matrix, grid, async ({ weights, outputs: m }, { codes, scales, zeroPoints }) => {
        const rows = (of: Float64Array, from: number, count: number) => of.subarray(from * m, Math.min(from + count, n) * m);
        const fit = (b: number, of: Float64Array) =>
          bestSpan(grid, of, costs.subarray(b * blockSize), scales.subarray(b * m, (b + 1) * m), zeroPoints.subarray(b * m, (b + 1) * m));
        let w = weights;
        if (order) {
          for (let b = 0; b * blockSize < n; b++) fit(b, rows(weights, b * blockSize, blockSize));
          w = new Float64Array(n * m);
          for (const [to, from] of order.entries()) w.set(rows(weights, from, 1), to * m);
        }
        await feedErrors(w, u, n, m, algebra, (i, row) => {
          const at = order ? (order[i] as number) : i;
          const b = Math.floor(at / blockSize);
          if (!order && i % blockSize === 0) fit(b, rows(w, i, blockSize));
          const [scale, zero] = [scales.subarray(b * m, (b + 1) * m), zeroPoints.subarray(b * m, (b + 1) * m)];
          const own = codes.subarray(at * m, (at + 1) * m);
          nearestCodes(grid, row, scale, zero, own);
          for (let c = 0; c < m; c++) row[c] = (scale[c] as number) * ((own[c] as number) - (zero[c] as number));
        });
      });
      found.push({ result });
    }
    return found;
  },
};

/** Inputs by their part of the diagonal, the largest first; of equals the first first. */
function strongestFirst(gram: Float64Array, n: number): number[] {
  const strength = (i: number) => gram[i * n + i] as number;
  return Array.from({ length: n }, (_, i) => i).sort((a, b) => strength(b) - strength(a) || a - b);
}
