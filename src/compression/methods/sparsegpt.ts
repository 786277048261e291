import { errorFactor, feedErrors } from "./feed-errors.ts";
import { keepHighest, type Quota, quotasOf } from "./masks.ts";
import type { CompressionMethod } from "./method.ts";
import { weightsByTiles } from "./tiles.ts";

/** Inputs among which a share of weights is chosen. */
export const within = 128;

/**
 * Weights become 0 input by input; the inputs that follow make up for it (Frantar and Alistarh, arXiv 2301.00774). Which ones go is chosen when the first of
 * some neighbours is reached, by what each would cost then: `w^2 / U_ii^2`. A share is chosen among 128 inputs of each output; the paper compares all
 * outputs with each other, which lets some outputs lose more than others.
 */
export const sparseGpt: CompressionMethod = {
  name: "SPARSEGPT",
  description:
    "Weights become 0 where that costs least, input by input, and the inputs that follow make up for it (SparseGPT). Reads texts.",
  schemes: ["SPARSE"],
  options: ["damping"],
  needsGram: true,
  async compress(group, options, algebra) {
    const n = group.inputs;
    const u = await errorFactor(group.gram as Float64Array, n, options.damping, algebra);
    const quotas = quotasOf(n, options, within);
    const found = [];
    for (const matrix of group.matrices) {
      const weights = await weightsByTiles(group, matrix, async ({ weights: w, outputs: m }) => {
        await feedErrors(w, u, n, m, algebra, chooseZeros(w, u, n, m, quotas));
        return w;
      });
      found.push({ result: { kind: "WEIGHTS" as const, weights } });
    }
    return found;
  },
};

/** For `feedErrors`: sets weights of an input to 0, by what is chosen when the first of its neighbours is reached. */
export function chooseZeros(
  w: Float64Array,
  u: Float64Array,
  n: number,
  m: number,
  quotas: readonly Quota[],
): (input: number, row: Float64Array) => void {
  let left = new Float64Array();
  let [reached, first] = [0, 0];
  return (i, row) => {
    const next = quotas[reached];
    if (next?.from === i) {
      reached++;
      first = i;
      left = w.slice(i * m, next.to * m);
      const scores = left.map((value, at) => (value / (u[(i + Math.floor(at / m)) * (n + 1)] as number)) ** 2);
      keepHighest(left, scores, m, next.kept);
    }
    const own = (i - first) * m;
    for (let c = 0; c < m; c++) if (left[own + c] === 0) row[c] = 0;
  };
}
