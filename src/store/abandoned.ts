import { Prisma } from "../generated/prisma/client.ts";
import type { Database } from "./store.ts";

/** The tables of what jobs are about, by kind of job. */
const tables = { prune: "PruningRun", evaluate: "Evaluation" } as const;

/**
 * Says of runs and evaluations whose worker was lost that they wait: they are RUNNING, and their job is back in the queue.
 *
 * @param queues the names of the queues, by kind of job
 */
export async function releaseAbandoned(db: Database, queues: Readonly<Record<keyof typeof tables, readonly string[]>>): Promise<number> {
  let released = 0;
  for (const [kind, table] of Object.entries(tables) as [keyof typeof tables, string][]) {
    const names = [...queues[kind]];
    released += await db.$executeRaw`
      UPDATE ${Prisma.raw(`"${table}"`)} r SET status = 'QUEUED'
      FROM pgboss.job j
      WHERE r.status = 'RUNNING' AND j.name = ANY(${names}) AND j.state < 'active' AND r.id = (j.data->>'id')::uuid
        AND NOT EXISTS (SELECT FROM pgboss.job a WHERE a.name = ANY(${names}) AND a.state = 'active' AND a.data->>'id' = j.data->>'id')`;
  }
  return released;
}
