import { randomChoice } from "../../random.ts";
import { rowsPerRun } from "./batch.ts";
import type { Gather } from "./evidence.ts";
import { openMasked } from "./masked-model.ts";

/** Steps for each sample, the learning rate of the probabilities, and how slowly the baseline moves. */
const [stepsPerSample, rate, memory] = [4, 0.05, 0.8];
/** Probabilities keep this far from 0 and 1 while they are learned, for the logarithm's derivative is taken at them. */
const margin = 0.02;

/**
 * Learns with what probability each structure is kept, from losses alone: masks are drawn, `m ~ Bernoulli(p)`, and p goes down
 * the policy gradient `(L(m) - baseline) * (m - p) / (p (1 - p))`, the baseline being a moving average; after each step p is
 * projected to where the structures' expected parameters meet the target (arXiv 2406.10576).
 */
export const keepProbabilities: Gather<number> = async function* (scene, groups) {
  const masked = await openMasked(scene, groups, rowsPerRun(scene.sequenceLength));
  const { structures, rows } = masked;
  const sizes = Float64Array.from(groups.flatMap((g) => g.indexes.map(() => g.parameterCount)));
  const total = sizes.reduce((a, b) => a + b, 0);
  const budget = Math.max(margin, 1 - scene.toRemove / total) * total;
  const random = scene.random("masks");
  let p = projected(new Float64Array(structures).fill(1 - margin), sizes, budget);
  let baseline: number | null = null;
  const texts = scene.samples.map((s) => s.unperturbed);
  const steps = stepsPerSample * texts.length;
  try {
    for (let step = 0; step < steps; step++) {
      // One text a step: what differs between rows is the mask alone.
      const text = randomChoice(random, texts);
      const masks = Array.from({ length: rows }, () => p.map((keep) => (random() < keep ? 1 : 0)));
      const found = await masked.losses(
        masks.map(() => text),
        masks,
      );
      const mean = found.reduce((a, b) => a + b, 0) / rows;
      const reference: number = baseline ?? mean;
      const gradient = p.map((keep, i) =>
        masks.reduce((g, m, r) => g + ((found[r] as number) - reference) * (((m[i] as number) - keep) / (keep * (1 - keep))), 0),
      );
      p = projected(
        p.map((keep, i) => keep - (rate * (gradient[i] as number)) / rows),
        sizes,
        budget,
      );
      baseline = memory * reference + (1 - memory) * mean;
      yield Math.floor((step + 1) / stepsPerSample);
    }
  } finally {
    await masked.close();
  }
  let at = 0;
  const evidence = groups.map((g) => g.indexes.map(() => p[at++] as number));
  // The losses were those of random masks, not the model's.
  return { evidence, loss: null, perturbedLoss: null };
};

/** The nearest probabilities within the margins whose expected size is no more than the budget: all moved by one multiple of the sizes. */
function projected(p: Float64Array, sizes: Float64Array, budget: number): Float64Array {
  const scale = Math.max(...sizes);
  const moved = (by: number) => p.map((keep, i) => Math.min(1 - margin, Math.max(margin, keep - (by * (sizes[i] as number)) / scale)));
  const size = (q: Float64Array) => q.reduce((n, keep, i) => n + keep * (sizes[i] as number), 0);
  if (size(moved(0)) <= budget) return moved(0);
  let [low, high] = [0, (2 * scale) / Math.min(...sizes)];
  for (let i = 0; i < 50; i++) {
    const middle = (low + high) / 2;
    if (size(moved(middle)) > budget) low = middle;
    else high = middle;
  }
  return moved(high);
}
