import { percent, words } from "./format.ts";

interface Producer {
  readonly kind: string;
  readonly pruningMethod?: string;
  readonly removedRatio?: number | null;
  readonly recoveryMethod?: string;
  /** In place of the two, where both stand in one field. */
  readonly method?: string | null;
}

/** How a model was made of its parent, in a few signs: `PIP −20%`. */
export function madeBy(run: Producer | null): string {
  if (run === null) return "registered";
  const [pruning, recovery] = [run.pruningMethod, run.recoveryMethod];
  const by = (kind: string) => (run.kind === kind ? run.method : null);
  const [pruned, healed] = [pruning ?? by("PRUNING"), recovery ?? by("RECOVERY")];
  if (pruned) return `${pruned.replaceAll("_", " ")} −${percent(run.removedRatio)}`;
  if (healed) return `healed, ${healed}`;
  return words(run.kind);
}
