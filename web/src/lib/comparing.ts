/** What a comparison reads of an evaluation. */
export interface Measured {
  readonly comparisonKey: string | null;
  readonly result: object | null;
}

/** Evaluations of several models that measured the same thing in the same way. */
export interface Shared<Evaluation> {
  readonly key: string;
  /** In the models' order the newest of each; null where there is none. */
  readonly evaluations: readonly (Evaluation | null)[];
}

/**
 * Sorts what was measured of several models by what compares.
 *
 * @param columns of each model its evaluations, newest first
 * @returns those that at least two models have, the ones that most have first; and of each model the newest of those that it alone has
 */
export function comparable<Evaluation extends Measured>(
  columns: readonly (readonly Evaluation[])[],
): { readonly shared: readonly Shared<Evaluation>[]; readonly alone: readonly (readonly Evaluation[])[] } {
  const byKey = new Map<string, (Evaluation | null)[]>();
  for (const [i, evaluations] of columns.entries())
    for (const evaluation of evaluations) {
      const { comparisonKey: key, result } = evaluation;
      if (key === null || result === null) continue;
      const row = byKey.get(key) ?? columns.map(() => null);
      row[i] ??= evaluation;
      byKey.set(key, row);
    }
  const had = (row: readonly (Evaluation | null)[]) => row.filter((each) => each !== null).length;
  const rows = [...byKey].map(([key, evaluations]) => ({ key, evaluations }));
  return {
    shared: rows.filter((row) => had(row.evaluations) > 1).sort((a, b) => had(b.evaluations) - had(a.evaluations)),
    alone: columns.map((_, i) => rows.flatMap((row) => (had(row.evaluations) === 1 ? (row.evaluations[i] ?? []) : []))),
  };
}

/** The nearest that is in every line; null if none is. Lines go from a model to its oldest ancestor. */
export const commonAncestor = (lines: readonly (readonly string[])[]): string | null =>
  lines[0]?.find((id) => lines.every((line) => line.includes(id))) ?? null;

export interface GroupLeft {
  readonly kind: string;
  readonly layer: number;
  readonly count: number;
  readonly left: number;
}

/** Of one kind how many there were, and how many are gone. */
export function lostOf(groups: readonly GroupLeft[], kind: string): { readonly count: number; readonly gone: number } {
  const own = groups.filter((group) => group.kind === kind);
  const sum = (of: (group: GroupLeft) => number) => own.reduce((total, group) => total + of(group), 0);
  return { count: sum(({ count }) => count), gone: sum(({ count, left }) => count - left) };
}
