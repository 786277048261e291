import { largest, smallest } from "../../large-lists.ts";
import { numberAt } from "../../number-at.ts";
import { randomChoice } from "../../random.ts";
import { countOf } from "../open-groups.ts";
import { rowsPerRun } from "./batch.ts";
import type { Gather } from "./evidence.ts";
import { openMasked } from "./masked-model.ts";

/** Runs for each sample where no number of masks is given, the learning rate of the probabilities, and how slowly the baseline moves. */
const [runsPerSample, rate, memory] = [4, 0.05, 0.8];
/** Probabilities keep this far from 0 and 1 while they are learned, for the logarithm's derivative is taken at them. */
const margin = 0.02;
/** How steeply probabilities rise along the order of a start, from the first structure (0) to the last (1). */
const steepness = 10;

/**
 * Learns with what probability each structure is kept, from losses alone: masks are drawn, `m ~ Bernoulli(p)`, and p goes down
 * the policy gradient `(L(m) - baseline) * (m - p) / (p (1 - p))`, the baseline being a moving average; after each step p is
 * projected to where the structures' expected parameters meet the target (arXiv 2406.10576). They start all alike, or in the order of
 * another method's scores.
 */
export const keepProbabilities: Gather<number> = async function* (scene, groups) {
  const masked = await openMasked(scene, groups, rowsPerRun(scene.sequenceLength));
  const { structures, rows } = masked;
  const sizes = Float64Array.from(groups.flatMap((g) => g.indexes.map((_, place) => countOf(g, place))));
  const total = sizes.reduce((a, b) => a + b, 0);
  const budget = Math.max(margin, 1 - scene.toRemove / total) * total;
  const random = scene.random("masks");
  const alike = new Float64Array(structures).fill(1 - margin);
  let p = projected(scene.start ? ordered(scene.start.flat(), sizes, 1 - budget / total) : alike, sizes, budget);
  let baseline: number | null = null;
  const texts = scene.samples.map((s) => s.unperturbed);
  const all = scene.masks ?? runsPerSample * texts.length * rows;
  const steps = Math.ceil(all / rows);
  try {
    for (let step = 0; step < steps; step++) {
      // One text a step: what differs between rows is the mask alone.
      const text = randomChoice(random, texts);
      const count = Math.min(rows, all - step * rows);
      const masks = Array.from({ length: count }, () => p.map((keep) => (random() < keep ? 1 : 0)));
      const found = await masked.losses(
        masks.map(() => text),
        masks,
      );
      const mean = found.reduce((a, b) => a + b, 0) / count;
      const reference: number = baseline ?? mean;
      const gradient = p.map((keep, i) =>
        masks.reduce((g, m, r) => g + (numberAt(found, r) - reference) * ((numberAt(m, i) - keep) / (keep * (1 - keep))), 0),
      );
      p = projected(
        p.map((keep, i) => keep - (rate * numberAt(gradient, i)) / count),
        sizes,
        budget,
      );
      baseline = memory * reference + (1 - memory) * mean;
      yield Math.floor(((step + 1) * texts.length) / steps);
    }
  } finally {
    await masked.close();
  }
  let at = 0;
  const evidence = groups.map((g) => g.indexes.map(() => numberAt(p, at++)));
  // The losses were those of random masks, not the model's.
  return { evidence, loss: null, perturbedLoss: null };
};

/**
 * Probabilities that rise with scores, whatever scale these have: `sigmoid(steepness (u - share))`, u being the share of the parameters that lie in structures
 * of lower scores, half of its own included. What goes by the scores alone is below one half, what stays above.
 *
 * @param share of the parameters that are to go
 */
function ordered(scores: readonly number[], sizes: Float64Array, share: number): Float64Array {
  const total = sizes.reduce((a, b) => a + b, 0);
  const p = new Float64Array(scores.length);
  let before = 0;
  for (const i of [...scores.keys()].sort((a, b) => numberAt(scores, a) - numberAt(scores, b) || a - b)) {
    const size = numberAt(sizes, i);
    const place = (before + size / 2) / total;
    // A score that is no number stays one, and is told of with the scores.
    p[i] = Number.isFinite(scores[i]) ? 1 / (1 + Math.exp(-steepness * (place - share))) : Number.NaN;
    before += size;
  }
  return p;
}

/** The nearest probabilities within the margins whose expected size is no more than the budget: all moved by one multiple of the sizes. */
function projected(p: Float64Array, sizes: Float64Array, budget: number): Float64Array {
  const scale = largest(sizes);
  const moved = (by: number) => p.map((keep, i) => Math.min(1 - margin, Math.max(margin, keep - (by * numberAt(sizes, i)) / scale)));
  const size = (q: Float64Array) => q.reduce((n, keep, i) => n + keep * numberAt(sizes, i), 0);
  if (size(moved(0)) <= budget) return moved(0);
  let [low, high] = [0, (2 * scale) / smallest(sizes)];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (size(moved(middle)) > budget) low = middle;
    else high = middle;
  }
  return moved(high);
}
