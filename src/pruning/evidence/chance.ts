import type { Gather } from "./evidence.ts";

/** A number for each structure, drawn by the scene's own seed, kind and position: what else is open makes no difference. */
export const chance: Gather<number> = async function* ({ random }, groups) {
  const evidence = groups.map(({ kind, indexes }) => indexes.map((index) => random(`${kind}/${index}`)()));
  return { evidence, loss: null, perturbedLoss: null };
};
