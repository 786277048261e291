import { EspalierError } from "../errors.ts";
import { type Iteration, Prisma, type PruningRun } from "../generated/prisma/client.ts";
import type { RemovedStructure } from "../pruning/events.ts";
import type { PruningOptions } from "../pruning/options.ts";
import { appendEvent } from "./events.ts";
import { holdModel } from "./models.ts";
import { newestFirst, type Page, type PageRequest, pageOf } from "./page.ts";
import { type DatabaseRecord, isId, toRecord } from "./record.ts";
import { type KeyedRequest, makeOnce } from "./request-keys.ts";
import { copyScores } from "./scores.ts";
import type { Database, Store } from "./store.ts";

export { RunStatus } from "../generated/prisma/enums.ts";

/** Why a run or an evaluation failed. */
export interface FailureRecord {
  readonly code: string;
  readonly message: string;
}

export type RunRecord = DatabaseRecord<
  PruningRun,
  {
    readonly options: PruningOptions;
    readonly executionProvider: "CPU" | "CUDA" | null;
    readonly error: FailureRecord | null;
  }
>;
export type IterationRow = DatabaseRecord<Iteration, { readonly removed: readonly RemovedStructure[] }>;

export interface NewRun {
  readonly modelId: string;
  readonly method: string;
  readonly options: PruningOptions;
  readonly datasetId: string;
  /** Higher goes first; 0 if unsaid. */
  readonly priority?: number;
  /** It begins with so many iterations of another run. */
  readonly from?: { readonly run: RunRecord; readonly iterations: number };
}

export interface RunFilter {
  readonly modelId?: string;
  readonly status?: PruningRun["status"];
}

/** Puts a run's job into the queue, in the transaction that is given: there is never one without the other. */
export type Enqueue = (tx: Database, runId: string) => Promise<void>;

/**
 * Stores a new run, QUEUED; or finds the one that an earlier request with the same key stored.
 *
 * @throws EspalierError MODEL_NOT_FOUND, IDEMPOTENCY_KEY_REUSED
 */
export function createRun(store: Store, run: NewRun, enqueue: Enqueue, keyed?: KeyedRequest): Promise<RunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const id = await makeOnce(tx, keyed, () => insertRun(tx, run, enqueue));
    return getRun(tx, id);
  });
}

async function insertRun(tx: Database, run: NewRun, enqueue: Enqueue): Promise<string> {
  const { method, datasetId, priority = 0, from } = run;
  const { id: modelId, parameterCount } = await holdModel(tx, run.modelId);
  const options = { ...run.options } as unknown as Prisma.InputJsonObject;
  const { id } = await tx.pruningRun.create({ data: { modelId, method, parameterCount, priority, options, datasetId } });
  if (from) await beginFrom(tx, id, from);
  await enqueue(tx, id);
  return id;
}

/** Gives a new run the first iterations of another, with their scores. It runs on what they ran on. */
async function beginFrom(tx: Database, runId: string, { run: from, iterations: count }: NonNullable<NewRun["from"]>): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO "Iteration" ("runId", index, removed, "parameterCount", "removedRatio", loss, "perturbedLoss", "durationMs")
    SELECT ${runId}::uuid, index, removed, "parameterCount", "removedRatio", loss, "perturbedLoss", "durationMs"
    FROM "Iteration" WHERE "runId" = ${from.id}::uuid AND index < ${count}::int`;
  await copyScores(tx, from.id, runId, count);
  const state = await stateOf(tx, runId, from.parameterCount);
  await tx.pruningRun.update({
    where: { id: runId },
    data: { fromRunId: from.id, executionProvider: from.executionProvider, removedRatio: state.removedRatio },
  });
  await appendEvent(tx, runId, "RESUMED", { ...state, fromRunId: from.id });
}

/** Where a run stands by its stored iterations. */
async function stateOf(tx: Database, runId: string, parameterCount: number) {
  const iterations = await countIterations(tx, runId);
  const last = await tx.iteration.findFirst({ where: { runId, index: iterations - 1 } });
  return { iterations, parameterCount: last ? Number(last.parameterCount) : parameterCount, removedRatio: last?.removedRatio ?? 0 };
}

/**
 * Puts a run that was cancelled or failed back into the queue: it goes on after the iterations it has stored.
 *
 * @throws EspalierError RUN_NOT_FOUND; RUN_NOT_RESUMABLE if it is neither
 */
export function resumeRun(store: Store, id: string, enqueue: Enqueue): Promise<RunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const { id: runId, parameterCount } = await getRun(tx, id);
    const { count } = await tx.pruningRun.updateMany({
      where: { id: runId, status: { in: ["CANCELLED", "FAILED"] } },
      data: { status: "QUEUED", error: Prisma.DbNull, finishedAt: null },
    });
    if (count === 0) {
      const { status } = await getRun(tx, runId);
      throw new EspalierError("RUN_NOT_RESUMABLE", `only a run that was cancelled or failed can be resumed: it is ${status}`, {
        id,
        status,
      });
    }
    await appendEvent(tx, runId, "RESUMED", { ...(await stateOf(tx, runId, parameterCount)), fromRunId: null });
    await enqueue(tx, runId);
    return getRun(tx, runId);
  });
}

/** The places of runs among those that wait for the same kind of worker, from 1; null for a run that does not wait. */
export async function queuePositions(db: Database, ids: readonly string[]): Promise<(number | null)[]> {
  const rows = await db.$queryRaw<{ id: string; position: bigint }[]>`
    SELECT id, position FROM (
      SELECT id, row_number() OVER (PARTITION BY options->>'executionProvider' ORDER BY priority DESC, id) AS position
      FROM "PruningRun" WHERE status = 'QUEUED'
    ) waiting WHERE id = ANY(${[...ids]}::uuid[])`;
  const byId = new Map(rows.map(({ id, position }) => [id, Number(position)]));
  return ids.map((id) => byId.get(id) ?? null);
}

/** Null where there is none. */
export async function findRun(db: Database, id: string): Promise<RunRecord | null> {
  const row = isId(id) ? await db.pruningRun.findUnique({ where: { id } }) : null;
  return row && toRecord(row);
}

/** @throws EspalierError RUN_NOT_FOUND */
export async function getRun(db: Database, id: string): Promise<RunRecord> {
  const run = await findRun(db, id);
  if (!run) throw new EspalierError("RUN_NOT_FOUND", `there is no pruning run ${id}`, { id });
  return run;
}

/** @throws EspalierError BAD_CURSOR */
export async function listRuns(db: Database, page: PageRequest, { modelId, status }: RunFilter = {}): Promise<Page<RunRecord>> {
  if (modelId !== undefined && !isId(modelId)) return pageOf([], page.first);
  const { before, order } = newestFirst(page);
  const rows = await db.pruningRun.findMany({ where: { modelId, status, ...before }, ...order });
  return pageOf(
    rows.map((row) => toRecord(row)),
    page.first,
  );
}

/** A run's iterations, in order. */
export async function runIterations(db: Database, runId: string): Promise<IterationRow[]> {
  const rows = await db.iteration.findMany({ where: { runId }, orderBy: { index: "asc" } });
  return rows.map((row) => toRecord(row));
}

/** How many iterations a run has stored. */
export function countIterations(db: Database, runId: string): Promise<number> {
  return db.iteration.count({ where: { runId } });
}

/**
 * Cancels a run that is not over; its worker learns of it within a second or so.
 *
 * @throws EspalierError RUN_NOT_FOUND; RUN_NOT_CANCELLABLE if it is over
 */
export function cancelRun(store: Store, id: string): Promise<RunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const { id: runId } = await getRun(tx, id);
    const { count } = await tx.pruningRun.updateMany({
      where: { id: runId, status: { in: ["QUEUED", "RUNNING"] } },
      data: { status: "CANCELLED", finishedAt: new Date() },
    });
    if (count === 0) {
      const { status } = await getRun(tx, runId);
      throw new EspalierError("RUN_NOT_CANCELLABLE", `the run is over: it is ${status}`, { id, status });
    }
    await appendEvent(tx, runId, "CANCELLED", {});
    return getRun(tx, runId);
  });
}
