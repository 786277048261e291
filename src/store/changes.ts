import { EspalierError } from "../errors.ts";
import { type DatasetRecord, findDatasets } from "./datasets.ts";
import { findModels, type ModelRecord } from "./models.ts";
import { isId } from "./record.ts";
import { findRuns } from "./references.ts";
import type { RunRecord } from "./runs.ts";
import type { Database } from "./store.ts";
import { findWorkers, type WorkerRecord } from "./workers.ts";

/** How far changes have been read: of this transaction's, all up to this id. Transactions are numbered as they begin. */
export interface Position {
  readonly transaction: number;
  readonly id: string;
}

/** A record as it is after it changed, or the identity of one that was deleted. */
export type Change = Position &
  (
    | { readonly subject: "RUN"; readonly record: RunRecord }
    | { readonly subject: "MODEL"; readonly record: ModelRecord }
    | { readonly subject: "DATASET"; readonly record: DatasetRecord }
    | { readonly subject: "WORKER"; readonly record: WorkerRecord }
    | { readonly subject: "DELETION"; readonly record: null }
  );

const lastId = "ffffffff-ffff-ffff-ffff-ffffffffffff";

export const isAfter = (a: Position, b: Position): boolean =>
  a.transaction > b.transaction || (a.transaction === b.transaction && a.id > b.id);

/** Of a cursor the id is left out where all of the transaction has been read. */
export const cursorOf = ({ transaction, id }: Position): string => (id === lastId ? `${transaction}` : `${transaction}.${id}`);

/** @throws EspalierError BAD_CURSOR */
export function positionOf(cursor: string): Position {
  const [, transaction, id = lastId] = /^(\d{1,15})(?:\.(.+))?$/.exec(cursor) ?? [];
  if (transaction === undefined || !isId(id))
    throw new EspalierError("BAD_CURSOR", `"${cursor.slice(0, 100)}" is not a cursor of changes`, { cursor });
  return { transaction: Number(transaction), id: id.toLowerCase() };
}

/**
 * The position before which nothing can come any more: after the last transaction that is older than any under way.
 */
export async function settledPosition(db: Database): Promise<Position> {
  const [row] = await db.$queryRaw<{ horizon: bigint }[]>`SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon`;
  return { transaction: Number(row?.horizon ?? 0n) - 1, id: lastId };
}

/** Changes after a position and up to another that is settled, in order; no more than `limit`. A record that changed often is told of once, as it is. */
export async function changesAfter(db: Database, after: Position, upTo: Position, limit: number): Promise<Change[]> {
  const rows = await db.$queryRaw<{ subject: Change["subject"]; id: string; changed: bigint }[]>`
    WITH since AS (SELECT ${after.transaction}::bigint AS changed, ${after.id}::uuid AS id, ${upTo.transaction}::bigint AS last)
    SELECT * FROM (
      (SELECT 'RUN' AS subject, r.id, r.changed FROM "Run" r, since s
        WHERE (r.changed, r.id) > (s.changed, s.id) AND r.changed <= s.last ORDER BY r.changed, r.id LIMIT ${limit}::int)
      UNION ALL (SELECT 'MODEL', m.id, m.changed FROM "Model" m, since s
        WHERE (m.changed, m.id) > (s.changed, s.id) AND m.changed <= s.last ORDER BY m.changed, m.id LIMIT ${limit}::int)
      UNION ALL (SELECT 'DATASET', d.id, d.changed FROM "Dataset" d, since s
        WHERE d.name IS NOT NULL AND (d.changed, d.id) > (s.changed, s.id) AND d.changed <= s.last ORDER BY d.changed, d.id LIMIT ${limit}::int)
      UNION ALL (SELECT 'WORKER', w.id, w.changed FROM "Worker" w, since s
        WHERE (w.changed, w.id) > (s.changed, s.id) AND w.changed <= s.last ORDER BY w.changed, w.id LIMIT ${limit}::int)
      UNION ALL (SELECT 'DELETION', x.id, x.changed FROM "Deletion" x, since s
        WHERE (x.changed, x.id) > (s.changed, s.id) AND x.changed <= s.last ORDER BY x.changed, x.id LIMIT ${limit}::int)
    ) changes ORDER BY changed, id LIMIT ${limit}::int`;
  const idsOf = (subject: Change["subject"]) => rows.filter((row) => row.subject === subject).map(({ id }) => id);
  const known = new Map<string, NonNullable<Change["record"]> | null>();
  for (const [subject, find] of [
    ["RUN", findRuns],
    ["MODEL", findModels],
    ["DATASET", findDatasets],
    ["WORKER", findWorkers],
  ] as const) {
    const ids = idsOf(subject);
    if (ids.length > 0) for (const [i, record] of (await find(db, ids)).entries()) known.set(ids[i] as string, record);
  }
  // One that was deleted meanwhile is told of by its deletion, which comes later.
  return rows.map(({ subject, id, changed }) => ({ subject, id, transaction: Number(changed), record: known.get(id) ?? null }) as Change);
}
