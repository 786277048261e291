import { bestSpan } from "./best-span.ts";
import type { CompressionMethod } from "./method.ts";
import { roundToNearest } from "./round-to-nearest.ts";

/** Round to nearest, of levels that span so much of a block as loses least; an error counts as much as its input is strong, as in AWQ's search (arXiv 2306.00978). */
export const clip: CompressionMethod = {
  name: "CLIP",
  description: "Round to nearest, of levels that are searched block by block: an error counts as much as its input is strong. Reads texts.",
  schemes: ["INT4", "INT8"],
  options: [],
  needsGram: true,
  async compress(group, options) {
    const { gram, inputs: n } = group;
    // What nothing multiplies, as a table of embeddings, has no statistics: all of it counts alike.
    const strengths = Float64Array.from({ length: n }, (_, i) => gram?.[i * (n + 1)] ?? 1);
    return roundToNearest(group, options, (grid, rows, scales, zeroPoints, from) =>
      bestSpan(grid, rows, strengths.subarray(from), scales, zeroPoints),
    );
  },
};
