import { EspalierError } from "../errors.ts";
import type { Iteration, Prisma, PruningRun } from "../generated/prisma/client.ts";
import type { RemovedStructure } from "../pruning/events.ts";
import type { PruningOptions } from "../pruning/options.ts";
import { appendEvent } from "./events.ts";
import { getModel } from "./models.ts";
import { newestFirst, type Page, type PageRequest, pageOf } from "./page.ts";
import { type DatabaseRecord, isId, toRecord } from "./record.ts";
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
}

export interface RunFilter {
  readonly modelId?: string;
  readonly status?: PruningRun["status"];
}

/**
 * Stores a new run, QUEUED.
 *
 * @param enqueue puts the run's job into the queue, in the same transaction: there is never one without the other
 * @throws EspalierError MODEL_NOT_FOUND
 */
export function createRun(store: Store, run: NewRun, enqueue: (tx: Database, runId: string) => Promise<void>): Promise<RunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const { id: modelId, parameterCount } = await getModel(tx, run.modelId);
    const options = { ...run.options } as unknown as Prisma.InputJsonObject;
    const row = await tx.pruningRun.create({ data: { modelId, method: run.method, parameterCount, options, datasetId: run.datasetId } });
    await enqueue(tx, row.id);
    return toRecord(row);
  });
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
