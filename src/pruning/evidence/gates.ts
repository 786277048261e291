import { numberAt } from "../../number-at.ts";
import type { View } from "../../text/view.ts";
import { countOf, type OpenGroup } from "../open-groups.ts";
import { rowsPerRun } from "./batch.ts";
import type { Gather } from "./evidence.ts";
import { openMasked } from "./masked-model.ts";

/** Steps for each sample, texts of a step, and how much a step's gradient counts in what is known of a gate. */
const [stepsPerSample, textsPerStep, rate] = [4, 2, 0.1];
/** Share of the steps after which as much is closed as is to go; until then it grows evenly. */
const closing = 0.5;
/** Share of the gates that a text finds neither open nor closed. */
const ajar = 0.25;

/** A gate: a structure by its group, and its parameters. */
interface Gate {
  readonly group: number;
  readonly size: number;
}

/**
 * Learns which structures to keep under a budget by the gradient of their gates m. At each step those gates are closed that are worth least by what is known
 * so far, as many as the budget asks for; it falls evenly to what is to stay, and then stays there. For each text some gates, drawn anew, stand anywhere
 * between closed and open. Their gradients say what a gate is worth, by parameter:
 *
 *     v <- (1 - rate) v + rate (-dL/dm) / parameters,    m = 1 for the largest v that fit the budget, else 0; or drawn from 0 to 1
 *
 * On the mean over all places of a gate, -dL/dm is how much the loss falls from closed to open, where the gradient of an open gate speaks of a small step.
 * Closing by a budget at each step is GRASPrune's (arXiv 2604.19398) way; gates that stand ajar and running means are ours. Weights stay as they are.
 */
export const gates: Gather<number> = async function* (scene, groups) {
  const texts = scene.samples.map((s) => s.unperturbed);
  const masked = await openMasked(scene, groups, Math.min(textsPerStep, rowsPerRun(scene.sequenceLength), texts.length), true);
  const { rows } = masked;
  const all: Gate[] = groups.flatMap((g, group) => g.indexes.map((_, place) => ({ group, size: countOf(g, place) })));
  const worth = new Float64Array(all.length);
  const random = scene.random("gates");
  const steps = stepsPerSample * texts.length;
  try {
    for (let step = 0; step < steps; step++) {
      const hard = opened(all, worth, groups, scene.toRemove * Math.min(1, step / (closing * steps)));
      const drawn = Array.from({ length: rows }, () => all.map(() => (random() < ajar ? random() : null)));
      const batch = drawn.map((_, r) => texts[(step * rows + r) % texts.length] as View);
      const { gradients } = await masked.gradients(
        batch,
        drawn.map((own) => own.map((place, i) => place ?? numberAt(hard, i))),
      );
      for (const [i, { size }] of all.entries()) {
        const own = gradients.filter((_, r) => drawn[r]?.[i] !== null).map((gradient) => numberAt(gradient, i));
        for (const gradient of own) worth[i] = (1 - rate) * numberAt(worth, i) - (rate * gradient) / (size || 1);
      }
      yield Math.floor((step + 1) / stepsPerSample);
    }
  } finally {
    await masked.close();
  }
  let at = 0;
  // The losses were those of gates ajar, not the model's.
  return { evidence: groups.map((g) => g.indexes.map(() => numberAt(worth, at++))), loss: null, perturbedLoss: null };
};

/** 1 for gates that stay open: those that are worth least are closed until so many parameters are behind closed ones, as far as their groups can spare them. */
function opened(all: readonly Gate[], worth: Float64Array, groups: readonly OpenGroup[], toClose: number): Float32Array {
  const mask = new Float32Array(all.length).fill(1);
  const left = groups.map((g) => g.removable);
  let closed = 0;
  const order = [...all.keys()].sort((a, b) => numberAt(worth, a) - numberAt(worth, b) || a - b);
  for (const i of order) {
    const { group, size } = all[i] as Gate;
    if (closed >= toClose) break;
    if (numberAt(left, group) === 0) continue;
    left[group] = numberAt(left, group) - 1;
    mask[i] = 0;
    closed += size;
  }
  return mask;
}
