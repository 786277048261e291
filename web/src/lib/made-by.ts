import { percent, words } from "./format.ts";

interface Producer {
  readonly kind: string;
  readonly pruningMethod?: string;
  readonly removedRatio?: number;
  readonly recoveryMethod?: string;
}

/** How a model was made of its parent, in a few signs: `PIP −20%`. */
export function madeBy(run: Producer | null): string {
  if (run === null) return "registered";
  if (run.pruningMethod) return `${run.pruningMethod.replaceAll("_", " ")} −${percent(run.removedRatio)}`;
  if (run.recoveryMethod) return `healed, ${run.recoveryMethod}`;
  return words(run.kind);
}
