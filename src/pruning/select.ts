import { type Structure, structureKinds } from "../structures/structure.ts";
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

/** Whether an attention is left once those parameters are gone: a model's last cannot be removed. */
export function leavesAttention(structures: readonly Structure[], gone: ReadonlySet<string>): boolean {
  const attentions = structures.filter((s) => s.kind === "ATTENTION");
  return attentions.length === 0 || attentions.some((s) => !s.parameters.every((p) => gone.has(p)));
}

/** What is left of each structure that may go: of the kinds asked for, outside the protected layers, not wholly removed. */
export function candidates(
  structures: readonly Structure[],
  gone: ReadonlySet<string>,
  sizes: ReadonlyMap<string, number>,
  options: Pick<PruningOptions, "structureKinds" | "protectFirst" | "protectLast">,
): Candidate[] {
  const layers = 1 + Math.max(...structures.map((s) => s.layer));
  return structures
    .filter((s) => options.structureKinds.includes(s.kind) && s.layer >= options.protectFirst && s.layer < layers - options.protectLast)
    .map((structure) => {
      const parameters = structure.parameters.filter((p) => !gone.has(p));
      return { structure, parameters, parameterCount: parameters.reduce((n, p) => n + (sizes.get(p) ?? 0), 0) };
    })
    .filter((c) => c.parameters.length > 0 && leavesAttention(structures, new Set([...gone, ...c.parameters])));
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
 * The first of a ranking: at most `count`, and none beyond what meets the target. What lies wholly or partly inside a
 * structure already taken (an MLP in its LAYER) is passed over, and so is what may not go once those before it are gone.
 *
 * @param toRemove parameters still to go
 * @param mayGo whether the model can do without these parameters
 */
export function lowest(
  ranked: readonly Scored[],
  count: number,
  toRemove: number,
  mayGo: (parameters: ReadonlySet<string>) => boolean,
): RemovedStructure[] {
  const taken: RemovedStructure[] = [];
  let gone: ReadonlySet<string> = new Set();
  let left = toRemove;
  for (const { structure, parameters, parameterCount, score } of ranked) {
    if (taken.length === count || left <= 0) break;
    const after = new Set([...gone, ...parameters]);
    if (parameters.some((p) => gone.has(p)) || !mayGo(after)) continue;
    taken.push({ kind: structure.kind, index: structure.index, score, parameterCount });
    gone = after;
    left -= parameterCount;
  }
  return taken;
}
