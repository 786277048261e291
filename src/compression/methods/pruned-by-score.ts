import type { CompressionOptions } from "../options.ts";
import { keepHighest, quotasOf } from "./masks.ts";
import type { Compressed, Group } from "./method.ts";
import { type Tile, weightsByTiles } from "./tiles.ts";

/** Weights of which those stay, as they are, that are largest times what their input counts. */
export async function prunedByScore(group: Group, options: CompressionOptions, counts: (input: number) => number): Promise<Compressed[]> {
  const factors = Float64Array.from({ length: group.inputs }, (_, i) => counts(i));
  const found: Compressed[] = [];
  for (const matrix of group.matrices) {
    const weights = await weightsByTiles(group, matrix, async (tile) => highestOf(tile, factors, options));
    found.push({ result: { kind: "WEIGHTS", weights } });
  }
  return found;
}

/** Weights of a tile, changed in place, of which those stay that are largest times a factor of their input. */
export function highestOf({ weights, outputs: m }: Tile, factors: Float64Array, options: CompressionOptions): Float64Array {
  const scores = weights.map((w, at) => Math.abs(w) * (factors[Math.floor(at / m)] as number));
  for (const { from, to, kept } of quotasOf(factors.length, options))
    keepHighest(weights.subarray(from * m, to * m), scores.subarray(from * m, to * m), m, kept);
  return weights;
}
