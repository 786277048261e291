import { type Structure, type StructureId, structureKey, structureKinds } from "../structures/structure.ts";
import type { RemovedStructure } from "./events.ts";
import type { Normalization, PruningOptions } from "./options.ts";

export interface Candidate {
  readonly structure: Structure;
  /** Its parameters that are still in the model. */
  readonly parameters: readonly string[];
  readonly parameterCount: number;
}

export interface Scored extends Candidate {
  readonly score: number;
}

/** What is left of each structure that may go: of the kinds asked for, outside the protected layers, not wholly removed. */
export function candidates(
  structures: readonly Structure[],
  removed: readonly StructureId[],
  sizes: ReadonlyMap<string, number>,
  options: Pick<PruningOptions, "structureKinds" | "protectFirst" | "protectLast">,
): Candidate[] {
  const gone = new Set(removed.map(structureKey));
  const goneParameters = new Set(structures.filter((s) => gone.has(structureKey(s))).flatMap((s) => s.parameters));
  const layers = 1 + Math.max(...structures.map((s) => s.layer));
  return structures
    .filter((s) => options.structureKinds.includes(s.kind) && s.layer >= options.protectFirst && s.layer < layers - options.protectLast)
    .map((structure) => {
      const parameters = structure.parameters.filter((p) => !goneParameters.has(p));
      return { structure, parameters, parameterCount: parameters.reduce((n, p) => n + (sizes.get(p) ?? 0), 0) };
    })
    .filter((c) => c.parameters.length > 0);
}

/** Divisors that let structures of unlike size compare. */
const divisors: Record<Normalization, (parameterCount: number) => number> = {
  NONE: () => 1,
  PARAMETER_COUNT: (n) => n,
  SQRT_PARAMETER_COUNT: Math.sqrt,
};

export const normalized = (score: number, parameterCount: number, normalization: Normalization): number =>
  score / divisors[normalization](parameterCount);

/** Lowest score first; ties by kind and position, so that the order never depends on chance. */
export function rank(scored: readonly Scored[]): Scored[] {
  const place = (s: Scored) => structureKinds.indexOf(s.structure.kind);
  return [...scored].sort((a, b) => a.score - b.score || place(a) - place(b) || a.structure.index - b.structure.index);
}

/**
 * The first of a ranking: at most `count`, and none beyond what meets the target. What lies wholly inside a structure
 * already taken (an MLP in its LAYER) is passed over.
 *
 * @param toRemove parameters still to go
 */
export function lowest(ranked: readonly Scored[], count: number, toRemove: number): RemovedStructure[] {
  const taken: RemovedStructure[] = [];
  const gone = new Set<string>();
  let left = toRemove;
  for (const { structure, parameters, parameterCount, score } of ranked) {
    if (taken.length === count || left <= 0) break;
    if (parameters.some((p) => gone.has(p))) continue;
    taken.push({ kind: structure.kind, index: structure.index, score, parameterCount });
    for (const p of parameters) gone.add(p);
    left -= parameterCount;
  }
  return taken;
}
