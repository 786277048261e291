import type { RunStatus } from "../generated/prisma/client.ts";
import type { RunKind } from "./runs.ts";
import type { Database } from "./store.ts";

export interface RunCount {
  readonly kind: RunKind;
  readonly status: RunStatus;
  readonly count: number;
}

/** How many runs there are of each kind and status, where there are any. */
export async function countRuns(db: Database): Promise<RunCount[]> {
  const rows = await db.run.groupBy({ by: ["kind", "status"], _count: true });
  return rows.map(({ kind, status, _count: count }) => ({ kind: kind as RunKind, status, count }));
}

/** How long that run has waited for a worker, in milliseconds, which has waited longest; 0 if none waits. */
export async function longestWaitMs(db: Database): Promise<number> {
  const [row] = await db.$queryRaw<{ ms: number | null }[]>`
    SELECT extract(epoch FROM now() - min("createdAt"))::float8 * 1000 AS ms FROM "Run" WHERE status = 'QUEUED' AND "modelId" IS NOT NULL`;
  return Math.max(0, row?.ms ?? 0);
}
