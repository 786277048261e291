import { type AuditRecord, findAudit } from "./audit.ts";
import { type DatasetRecord, findDatasets } from "./datasets.ts";
import { type ExportRecord, findExports } from "./exports.ts";
import { findModels, type ModelRecord } from "./models.ts";
import { isId } from "./record.ts";
import { findRuns } from "./references.ts";
import type { RunRecord } from "./runs.ts";
import type { Database } from "./store.ts";
import { findTokens, type TokenRecord } from "./tokens.ts";
import { findWorkers, type WorkerRecord } from "./workers.ts";

/** Whatever has an id of its own, and what it is. */
export type NodeRecord =
  | { readonly type: "MODEL"; readonly record: ModelRecord }
  | { readonly type: "EXPORT"; readonly record: ExportRecord }
  | { readonly type: "RUN"; readonly record: RunRecord }
  | { readonly type: "DATASET"; readonly record: DatasetRecord }
  | { readonly type: "TOKEN"; readonly record: TokenRecord }
  | { readonly type: "WORKER"; readonly record: WorkerRecord }
  | { readonly type: "AUDIT"; readonly record: AuditRecord };

type Find = (db: Database, ids: readonly string[]) => Promise<readonly (NodeRecord["record"] | null)[]>;

const finders: Readonly<Record<NodeRecord["type"], Find>> = {
  MODEL: findModels,
  EXPORT: findExports,
  RUN: findRuns,
  DATASET: findDatasets,
  TOKEN: findTokens,
  WORKER: findWorkers,
  AUDIT: findAudit,
};

/** Records by id, in the order asked for; null where there is none. Ids are random: no two tables have the same. A query a table. */
export async function findNodes(db: Database, asked: readonly string[]): Promise<(NodeRecord | null)[]> {
  const ids = asked.map((id) => id.toLowerCase());
  const wanted = [...new Set(ids.filter(isId))];
  const found = new Map<string, NodeRecord>();
  if (wanted.length > 0)
    for (const [type, find] of Object.entries(finders))
      for (const record of await find(db, wanted)) if (record) found.set(record.id, { type, record } as NodeRecord);
  return ids.map((id) => found.get(id) ?? null);
}
