import type { Database } from "./store.ts";

/**
 * Says of runs whose worker was lost that they wait: they are RUNNING, and their job is back in the queue.
 *
 * @param queues the names of the queues
 */
export function releaseAbandoned(db: Database, queues: readonly string[]): Promise<number> {
  const names = [...queues];
  return db.$executeRaw`
    UPDATE "Run" r SET status = 'QUEUED'
    FROM pgboss.job j
    WHERE r.status = 'RUNNING' AND j.name = ANY(${names}) AND j.state < 'active' AND r.id = (j.data->>'id')::uuid
      AND NOT EXISTS (SELECT FROM pgboss.job a WHERE a.name = ANY(${names}) AND a.state = 'active' AND a.data->>'id' = j.data->>'id')`;
}
