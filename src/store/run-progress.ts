import { EspalierError } from "../errors.ts";
import type { Prisma } from "../generated/prisma/client.ts";
import { appendEvent, type PayloadOf } from "./events.ts";
import { notify } from "./listener.ts";
import { type Enqueue, endRun, type FailureRecord, findRun, notOver, type RunRecord, readyFollowers } from "./runs.ts";
import type { Database, Store } from "./store.ts";

/** A worker's right to write to a run: until the run is over, or another worker takes it up. */
export type RunClaim = Pick<RunRecord, "id" | "attempt">;

/**
 * Takes a run up, for the first time or after a worker that was lost. The record is the claim.
 *
 * @param begin notes what its kind notes of that, in the same transaction
 * @returns null if there is nothing to do: the run is over or gone
 */
export function claimRun(
  store: Store,
  id: string,
  begin: (tx: Database, run: RunRecord) => Promise<void> = async () => {},
): Promise<RunRecord | null> {
  return store.prisma.$transaction(async (tx) => {
    const { count } = await tx.run.updateMany({
      where: { id, status: { in: notOver } },
      data: { status: "RUNNING", attempt: { increment: 1 } },
    });
    const run = count > 0 ? await findRun(tx, id) : null;
    if (run) await begin(tx, run);
    await notify(tx, id);
    return run;
  });
}

/** Notes, in the transaction that gives it to a worker, that a run begins from its beginning, whoever had it before. */
export async function beginAnew(tx: Database, { id, attempt }: RunClaim): Promise<void> {
  await tx.run.update({ where: { id }, data: { startedAt: new Date(), progress: 0 } });
  await appendEvent(tx, id, "STARTED", { attempt });
}

/** Records how far a run is. @throws EspalierError RUN_LOST if the claim stands no more */
export function recordProgress(store: Store, claim: RunClaim, payload: PayloadOf<"PROGRESS">): Promise<void> {
  const { id } = claim;
  return whileClaimed(store, claim, async (tx) => {
    await tx.run.update({ where: { id }, data: { progress: payload.progress } });
    await appendEvent(tx, id, "PROGRESS", payload);
  });
}

/** Gives a run back that is not over: it waits for the next worker. Nothing if the claim stands no more. */
export async function releaseRun(store: Store, { id, attempt }: RunClaim): Promise<void> {
  await store.prisma.run.updateMany({ where: { id, attempt, status: "RUNNING" }, data: { status: "QUEUED" } });
  await notify(store.prisma, id);
}

/** Whether the claim stands. */
export async function holdsClaim(store: Store, { id, attempt }: RunClaim): Promise<boolean> {
  return (await store.prisma.run.count({ where: { id, attempt, status: "RUNNING" } })) > 0;
}

/** Writes in a transaction in which nobody takes the run away. @throws EspalierError RUN_LOST if the claim stands no more */
export function whileClaimed<T>(store: Store, { id, attempt }: RunClaim, write: (tx: Database) => Promise<T>): Promise<T> {
  return store.prisma.$transaction(async (tx) => {
    const rows = await tx.$queryRaw<unknown[]>`
      SELECT 1 FROM "Run" WHERE id = ${id}::uuid AND attempt = ${attempt} AND status = 'RUNNING' FOR UPDATE`;
    if (rows.length === 0) throw new EspalierError("RUN_LOST", `the run ${id} is over or another worker has it`, { id });
    return write(tx);
  });
}

/** What a run that succeeds leaves: columns of its row, and its last event. */
export interface Success {
  /** The model it made. */
  readonly resultModelId?: string;
  readonly columns: Prisma.RunUncheckedUpdateManyInput;
  readonly event: PayloadOf<"SUCCEEDED">;
}

/** For kinds of run that make no model: nothing waits for what comes of them. */
export const neverAwaited: Enqueue = async () => {};

/**
 * Records success.
 *
 * @param enqueue puts those into the queue that waited for its result; `neverAwaited` where no model comes of it
 * @param write stores what the run's kind stores beside, in the same transaction
 * @throws EspalierError RUN_LOST if the claim stands no more; what `write` throws
 */
export function succeedRun(store: Store, claim: RunClaim, enqueue: Enqueue, write: (tx: Database) => Promise<Success>): Promise<void> {
  const { id } = claim;
  return whileClaimed(store, claim, async (tx) => {
    const { resultModelId, columns, event } = await write(tx);
    const result = resultModelId === undefined ? {} : { resultModelId };
    await tx.run.updateMany({ where: { id }, data: { ...columns, ...result, status: "SUCCEEDED", progress: 1, finishedAt: new Date() } });
    await appendEvent(tx, id, "SUCCEEDED", event);
    if (resultModelId !== undefined) await readyFollowers(tx, id, resultModelId, enqueue);
  });
}

/** Records failure, whoever holds the run; nothing if it is over. */
export async function recordFailure(store: Store, id: string, { code, message }: FailureRecord): Promise<void> {
  await store.prisma.$transaction((tx) => endRun(tx, id, { status: "FAILED", error: { code, message } }));
}
