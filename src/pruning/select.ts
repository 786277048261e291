import { numberAt } from "../number-at.ts";
import { isDivided, structureKinds } from "../structures/structure.ts";
import type { RemovedStructure, ScoreTable } from "./events.ts";
import { mean } from "./mean.ts";
import { countOf, type OpenGroup } from "./open-groups.ts";
import type { Normalization } from "./options.ts";

/** An open group whose structures have scores: `scores[i]` is of `indexes[i]`. */
export interface ScoredGroup extends OpenGroup {
  readonly scores: readonly number[];
}

/** One structure among those of its group. */
export interface Ranked {
  readonly group: ScoredGroup;
  /** In the group's `indexes`. */
  readonly place: number;
}

export const scoreOf = ({ group, place }: Ranked): number => numberAt(group.scores, place);
const indexOf = ({ group, place }: Ranked): number => numberAt(group.indexes, place);

/** Divisors that let structures of unlike size or kind compare. */
const divisors: Record<Normalization, (count: number, ofKind: readonly number[]) => number> = {
  NONE: () => 1,
  PARAMETER_COUNT: (count) => count,
  SQRT_PARAMETER_COUNT: (count) => Math.sqrt(count),
  // Of absolute values, for a mean below 0 would turn the order round. If all of a kind score 0 they stay at 0.
  KIND_MEAN: (_, ofKind) => mean(ofKind.map(Math.abs)),
};

export function normalized(groups: readonly ScoredGroup[], normalization: Normalization): ScoredGroup[] {
  const byKind = new Map(structureKinds.map((kind) => [kind, groups.filter((g) => g.kind === kind).flatMap((g) => g.scores)]));
  return groups.map((group) => {
    // What has no parameters of its own is ranked by its plain score.
    const divisor = (place: number) => divisors[normalization](countOf(group, place), byKind.get(group.kind) ?? []) || 1;
    return { ...group, scores: group.scores.map((s, place) => s / divisor(place)) };
  });
}

/** The scores by kind, structures in order. */
export function tables(groups: readonly ScoredGroup[]): ScoreTable[] {
  return structureKinds
    .map((kind) => ({ kind, own: groups.filter((g) => g.kind === kind) }))
    .filter(({ own }) => own.length > 0)
    .map(({ kind, own }) => ({ kind, indexes: own.flatMap((g) => g.indexes), scores: own.flatMap((g) => g.scores) }));
}

/** Lowest score first; ties by kind and position, so that the order never depends on chance. */
export function rank(groups: readonly ScoredGroup[]): Ranked[] {
  const kindOf = (r: Ranked) => structureKinds.indexOf(r.group.kind);
  return groups
    .flatMap((group) => group.indexes.map((_, place) => ({ group, place })))
    .sort((a, b) => scoreOf(a) - scoreOf(b) || kindOf(a) - kindOf(b) || indexOf(a) - indexOf(b));
}

/** What an iteration has taken so far, and what still may be. */
export class Selection {
  readonly taken: RemovedStructure[] = [];
  #parameterCount = 0;
  /** Parameters that are gone, and those of which slices are. */
  readonly #gone = new Set<string>();
  readonly #cut = new Set<string>();
  readonly #perGroup = new Map<ScoredGroup, number>();

  /**
   * @param count structures to take, unless the target is met before
   * @param toRemove parameters still to go
   * @param mayGo whether the model can do without these parameters
   */
  constructor(
    private readonly count: number,
    private readonly toRemove: number,
    private readonly mayGo: (parameters: ReadonlySet<string>) => boolean,
  ) {}

  get full(): boolean {
    return this.taken.length >= this.count || this.#parameterCount >= this.toRemove;
  }

  /** How many of a group have been taken. */
  takenOf(group: ScoredGroup): number {
    return this.#perGroup.get(group) ?? 0;
  }

  /** Whether a group has gone with a structure that it lies in. */
  isGone(group: ScoredGroup): boolean {
    return group.parts.some((p) => this.#gone.has(p.parameter) && (p.axis !== null || !isDivided(group)));
  }

  /**
   * Takes a structure, unless it may not go: it lies wholly or partly inside one already taken (an MLP in its LAYER), one
   * already taken lies in it, its group has reached its floor, or the model cannot do without it any more.
   */
  take(structure: Ranked): boolean {
    const { group, place } = structure;
    const own = group.parts.filter((p) => p.axis !== null || !isDivided(group) || p.owners[0] === place);
    const wholes = own.filter((p) => p.axis === null).map((p) => p.parameter);
    if (this.takenOf(group) >= group.removable || this.isGone(group)) return false;
    if (wholes.some((p) => this.#cut.has(p))) return false;
    if (!isDivided(group) && !this.mayGo(new Set([...this.#gone, ...wholes]))) return false;
    for (const { parameter, axis } of own) (axis === null ? this.#gone : this.#cut).add(parameter);
    this.#perGroup.set(group, this.takenOf(group) + 1);
    const { kind } = group;
    const parameterCount = countOf(group, place);
    this.taken.push({ kind, index: indexOf(structure), score: scoreOf(structure), parameterCount });
    this.#parameterCount += parameterCount;
    return true;
  }
}

/** Takes the lowest of all structures, one after another. */
export function takeLowest(selection: Selection, groups: readonly ScoredGroup[]): void {
  for (const structure of rank(groups)) {
    if (selection.full) return;
    selection.take(structure);
  }
}
