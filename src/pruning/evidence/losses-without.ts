import { numberAt } from "../../number-at.ts";
import { mean } from "../mean.ts";
import { rowsPerRun } from "./batch.ts";
import type { Gather } from "./evidence.ts";
import { openMasked } from "./masked-model.ts";

/** For each structure, one entry a sample: the loss with the structure left out, less the loss with it. Forward passes only. */
export const lossesWithout: Gather<readonly number[]> = async function* (scene, groups) {
  const masked = await openMasked(scene, groups, rowsPerRun(scene.sequenceLength));
  const { structures, rows } = masked;
  const evidence = groups.map((g) => g.indexes.map((): number[] => []));
  const flat = evidence.flat();
  const wholes: number[] = [];
  /** All ones, but for one structure. */
  const without = (structure: number) => Float32Array.from({ length: structures }, (_, i) => (i === structure ? 0 : 1));
  try {
    for (const [s, { unperturbed }] of scene.samples.entries()) {
      const losses: number[] = [];
      // Number `structures` leaves none out.
      for (let first = 0; first <= structures; first += rows) {
        const numbers = Array.from({ length: Math.min(rows, structures + 1 - first) }, (_, i) => first + i);
        losses.push(
          ...(await masked.losses(
            numbers.map(() => unperturbed),
            numbers.map(without),
          )),
        );
        yield s;
      }
      const loss = numberAt(losses, structures);
      wholes.push(loss);
      for (const [i, own] of flat.entries()) own.push(numberAt(losses, i) - loss);
      yield s + 1;
    }
  } finally {
    await masked.close();
  }
  return { evidence, loss: mean(wholes), perturbedLoss: null };
};
