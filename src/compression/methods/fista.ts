import type { Algebra } from "../../algebra/algebra.ts";
import type { CompressionOptions } from "../options.ts";
import { errorFactor, feedErrors } from "./feed-errors.ts";
import { largestEigenvalue, lasso } from "./lasso.ts";
import { keepHighest, quotasOf } from "./masks.ts";
import type { CompressionMethod } from "./method.ts";
import { dots, type Fit, refit, times } from "./refit.ts";
import { chooseZeros, within } from "./sparsegpt.ts";
import { type Tile, weightsByTiles } from "./tiles.ts";

/** Values of lambda that are tried, and steps for each. */
const [lambdas, steps] = [3, 10];
/** Times that the weights that stay are exchanged for others. */
const exchanges = 4;
/** Steps of least squares to judge a mask by, and at most to end with; and what is left then of the pull on the weights that stay. */
const [judging, ending, enough] = [4, 60, 1e-6];

/**
 * Which weights stay is found by accelerated proximal steps (FISTAPruner, arXiv 2408.03728), each output by itself; what stays is then refit by least
 * squares. Its objective is `(V - W)' H (V - W)`, H the statistics of inputs of the part that is compressed already, with `damping` of itself added to each
 * number of the diagonal. Inputs are taken as strong as one another (V times the root of H's diagonal), which the steps want, and by which the weights
 * compare as Wanda's do.
 *
 * Masks that compete: Wanda's and SparseGPT's; those of three values of lambda, each nearer to where as many stay as should; and four
 * exchanges of the best, by a step down its slope. Each output keeps the one that loses least. So no output loses more than Wanda's, or SparseGPT's with
 * the same H.
 *
 * Certificate: the steps taken, and the norm of the slope `H (V - W)` on the weights that stay, of the norm of `H W` there. At the best V of a mask it is 0.
 */
export const fista: CompressionMethod = {
  name: "FISTA",
  description:
    "Which weights stay is found by accelerated proximal steps, and what stays is refit by least squares (FISTAPruner). Reads texts; the slowest.",
  schemes: ["SPARSE"],
  options: ["damping"],
  needsGram: true,
  async compress(group, options, algebra) {
    const n = group.inputs;
    const { h, strengths } = evened(group.gram as Float64Array, n, options.damping);
    const problem = {
      ...{ n, h, algebra, options },
      u: await errorFactor(h, n, 0, algebra),
      largest: await largestEigenvalue(h, n, algebra),
    };
    const found = [];
    for (const matrix of group.matrices) {
      const left = [0, 0];
      let iterations = 0;
      const weights = await weightsByTiles(group, matrix, async ({ weights: w, outputs: m }) => {
        const target = w.map((x, at) => x * (strengths[Math.floor(at / m)] as number));
        const { fit, pulled, taken } = await solve(problem, { weights: target, outputs: m });
        iterations = Math.max(iterations, taken);
        for (const [k, x] of [fit.pull, pulled].entries()) {
          const masked = times(x, fit.mask);
          left[k] = dots(masked, masked, m).reduce((a, b) => a + b, left[k] as number);
        }
        return fit.values.map((x, at) => (x === 0 ? 0 : x / (strengths[Math.floor(at / m)] as number)));
      });
      const residual = left[1] === 0 ? 0 : Math.sqrt((left[0] as number) / (left[1] as number));
      found.push({ result: { kind: "WEIGHTS" as const, weights }, certificate: { iterations, residual } });
    }
    return found;
  },
};

/** H of inputs that are all as strong as one another; and how strong they were. What was always 0 is by itself, and no weight of it counts. */
function evened(gram: Float64Array, n: number, damping: number): { h: Float64Array; strengths: Float64Array } {
  const strengths = Float64Array.from({ length: n }, (_, i) => Math.sqrt(gram[i * n + i] as number));
  const h = gram.map((x, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    return i === j ? 1 + damping : x === 0 ? 0 : x / (strengths[i] as number) / (strengths[j] as number);
  });
  return { h, strengths };
}

interface Problem {
  readonly n: number;
  readonly h: Float64Array;
  readonly u: Float64Array;
  readonly largest: number;
  readonly options: CompressionOptions;
  readonly algebra: Algebra;
}

async function solve({ n, h, u, largest, options, algebra }: Problem, { weights: target, outputs: m }: Tile) {
  const quotas = quotasOf(n, options);
  const stay = quotas.reduce((sum, q) => sum + q.kept, 0);
  const pulled = await algebra.multiply(h, target, n, n, m);
  let taken = 0;
  /** 1 where a weight is among those that stay by these scores. */
  const masked = (scores: Float64Array) => {
    const ones = new Float64Array(n * m).fill(1);
    const sizes = scores.map(Math.abs);
    for (const { from, to, kept } of quotas) keepHighest(ones.subarray(from * m, to * m), sizes.subarray(from * m, to * m), m, kept);
    return ones;
  };
  const judged = async (values: Float64Array, mask: Float64Array) => {
    const fit = await refit(h, target, values, mask, algebra, judging);
    taken += fit.steps;
    return fit;
  };

  const best = await judged(target, masked(target));
  const lambda = meanGone(target, best.mask, m);
  const fed = target.slice();
  await feedErrors(fed, u, n, m, algebra, chooseZeros(fed, u, n, m, quotasOf(n, options, within)));
  adopt(best, await judged(fed, fed.map(isKept)));

  const low = new Float64Array(m);
  const high = new Float64Array(m).fill(Number.POSITIVE_INFINITY);
  const ones = new Float64Array(n * m).fill(1);
  let values = target;
  for (let round = 0; round < lambdas; round++) {
    const found = await lasso(h, pulled, values, lambda, largest, steps, algebra);
    values = found.values;
    taken += steps;
    adopt(best, await judged(values, masked(found.unshrunk)));
    const counts = dots(values.map(isKept), ones, m);
    for (let c = 0; c < m; c++) {
      const [own, isMore] = [lambda[c] as number, (counts[c] as number) > stay];
      if (isMore) low[c] = own;
      else high[c] = own;
      lambda[c] = Math.min(2 * own, ((low[c] as number) + (high[c] as number)) / 2);
    }
  }

  const reach = new Float64Array(m).fill(1);
  for (let round = 0; round < exchanges; round++) {
    const moved = best.values.map((x, at) => x + (reach[at % m] as number) * (best.pull[at] as number));
    const won = adopt(best, await judged(moved, masked(moved)));
    for (let c = 0; c < m; c++) if (!won[c]) reach[c] = 0.6 * (reach[c] as number);
  }
  const wanted = times(pulled, best.mask);
  const least = dots(wanted, wanted, m).map((x) => x * enough ** 2);
  const fit = await refit(h, target, best.values, best.mask, algebra, ending, least);
  return { fit, pulled, taken: taken + fit.steps };
}

const isKept = (x: number): number => (x === 0 ? 0 : 1);

/** The mean size, in each column, of what a mask sets to 0. */
function meanGone(values: Float64Array, mask: Float64Array, m: number): Float64Array {
  const [sums, counts] = [new Float64Array(m), new Float64Array(m)];
  for (let at = 0; at < values.length; at++) {
    if (mask[at] !== 0) continue;
    sums[at % m] = (sums[at % m] as number) + Math.abs(values[at] as number);
    counts[at % m] = (counts[at % m] as number) + 1;
  }
  return sums.map((sum, c) => sum / Math.max(1, counts[c] as number));
}

/** Columns that lose less than the best so far take their place. @returns 1 for each of them */
function adopt(best: Fit, other: Fit): Uint8Array {
  const m = best.losses.length;
  const won = Uint8Array.from(best.losses, (loss, c) => ((other.losses[c] as number) < loss ? 1 : 0));
  for (const part of ["values", "mask", "pull", "losses"] as const) {
    const [own, its] = [best[part], other[part]];
    for (let from = 0; from < own.length; from += m) for (let c = 0; c < m; c++) if (won[c]) own[from + c] = its[from + c] as number;
  }
  return won;
}
