import { percent, words } from "./format.ts";

interface Producer {
  readonly kind: string;
  readonly pruningMethod?: string;
  readonly removedRatio?: number | null;
  readonly recoveryMethod?: string;
  readonly compressionMethod?: string;
  /** Of what is compressed: what its weights became. */
  readonly scheme?: string | null;
  /** In place of the three, where all stand in one field. */
  readonly method?: string | null;
}

/** How a model was made of its parent, in a few signs: `PIP −20%`, `INT4 GPTQ`. */
export function madeBy(run: Producer | null): string {
  if (run === null) return "registered";
  const [pruning, recovery] = [run.pruningMethod, run.recoveryMethod];
  const by = (kind: string) => (run.kind === kind ? run.method : null);
  const [pruned, healed] = [pruning ?? by("PRUNING"), recovery ?? by("RECOVERY")];
  if (pruned) return `${pruned.replaceAll("_", " ")} −${percent(run.removedRatio)}`;
  const compressed = run.compressionMethod ?? by("COMPRESSION");
  if (compressed) return `${run.scheme ?? ""} ${compressed}`.trim();
  if (healed) return `healed, ${healed}`;
  return words(run.kind);
}
