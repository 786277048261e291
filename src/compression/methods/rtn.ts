import { span } from "./grid.ts";
import type { CompressionMethod } from "./method.ts";
import { roundToNearest } from "./round-to-nearest.ts";

/** Round to nearest, of levels that span a block. */
export const rtn: CompressionMethod = {
  name: "RTN",
  description: "Round to nearest: each weight becomes the nearest of its block's levels. No text is read.",
  schemes: ["INT4", "INT8"],
  options: [],
  needsGram: false,
  compress: async (group, options) =>
    roundToNearest(group, options, (grid, rows, scales, zeroPoints) => span(grid, rows, scales, zeroPoints)),
};
