import type { Worker } from "../generated/prisma/client.ts";
import { inOrder } from "./record.ts";
import type { Database } from "./store.ts";

/** A process that does runs. */
export type WorkerRecord = Worker;

/** One that has not said for so long that it lives is taken for lost. */
const silenceSeconds = 20;

export type NewWorker = Pick<
  WorkerRecord,
  "id" | "host" | "processId" | "providers" | "computesOn" | "concurrency" | "version" | "startedAt"
>;

/** Says that a worker lives, by the database's clock, and stores it where it is not stored, or no more. */
export async function keepWorker(db: Database, worker: NewWorker, runIds: readonly string[]): Promise<void> {
  const { id } = worker;
  const kept = await db.$executeRaw`UPDATE "Worker" SET "seenAt" = now() WHERE id = ${id}::uuid`;
  if (kept === 0) await db.worker.createMany({ data: { ...worker, runIds: [...runIds] }, skipDuplicates: true });
}

/** What a worker does now, and what it was found to compute on. Nothing if it is not stored. */
export async function updateWorker(
  db: Database,
  id: string,
  { runIds, computesOn }: { readonly runIds: readonly string[]; readonly computesOn: readonly string[] },
): Promise<void> {
  await db.worker.updateMany({ where: { id }, data: { runIds: [...runIds], computesOn: [...computesOn] } });
}

export async function removeWorker(db: Database, id: string): Promise<void> {
  await db.worker.deleteMany({ where: { id } });
}

/** Forgets workers that were lost. */
export const removeSilentWorkers = (db: Database): Promise<number> =>
  db.$executeRaw`DELETE FROM "Worker" WHERE "seenAt" < now() - make_interval(secs => ${silenceSeconds})`;

/** Workers that live, the oldest first. */
export const listWorkers = (db: Database): Promise<WorkerRecord[]> =>
  db.worker.findMany({ orderBy: [{ startedAt: "asc" }, { id: "asc" }] });

/** Workers by id, in the order asked for; null where there is none. */
export async function findWorkers(db: Database, ids: readonly string[]): Promise<(WorkerRecord | null)[]> {
  return inOrder(await db.worker.findMany({ where: { id: { in: [...ids] } } }), ids);
}
