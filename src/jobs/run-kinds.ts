import type { PayloadOf } from "../store/events.ts";
import type { RunKind, RunRecord } from "../store/runs.ts";
import type { Database } from "../store/store.ts";
import { compression } from "./kinds/compression.ts";
import { evaluation } from "./kinds/evaluation.ts";
import { exporting } from "./kinds/export.ts";
import { importing } from "./kinds/import.ts";
import { pruning } from "./kinds/pruning.ts";
import { recovery } from "./kinds/recovery.ts";
import type { KindOfRun } from "./run-kind.ts";

/** THE table of the kinds of run. */
export const runKinds: { readonly [Kind in RunKind]: KindOfRun<Kind> } = {
  PRUNING: pruning,
  EVALUATION: evaluation,
  RECOVERY: recovery,
  COMPRESSION: compression,
  IMPORT: importing,
  EXPORT: exporting,
};

export const kindNames = Object.keys(runKinds) as RunKind[];

/** What is particular to a run, of whichever kind: what it takes and gives is the business of the one that it is given back to. */
export const kindOf = ({ kind }: { readonly kind: RunKind }): KindOfRun => runKinds[kind] as KindOfRun;

/** Where a run of whichever kind goes on when it is resumed. */
export const standsOf = (tx: Database, run: RunRecord): Promise<PayloadOf<"RESUMED">> => kindOf(run).stands(tx, run);
