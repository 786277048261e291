import { EspalierError } from "../errors.ts";
import type { EvaluationResult, EvaluationSettings } from "../evaluation/evaluate.ts";
import { Prisma, type Run } from "../generated/prisma/client.ts";
import type { PruningOptions } from "../pruning/options.ts";
import { appendEvent, type PayloadOf } from "./events.ts";
import { holdModel } from "./models.ts";
import { byAge, type Page, type PageRequest, pageOf } from "./page.ts";
import { type DatabaseRecord, isId, toRecord } from "./record.ts";
import type { Database, Store } from "./store.ts";

export { RunStatus } from "../generated/prisma/enums.ts";

/** Why a run failed. */
export interface FailureRecord {
  readonly code: string;
  readonly message: string;
}

/** What each kind of run is asked to do, and what it finds. */
export interface RunKinds {
  readonly PRUNING: { readonly method: string; readonly options: PruningOptions; readonly result: null };
  readonly EVALUATION: { readonly method: null; readonly options: EvaluationSettings; readonly result: EvaluationResult | null };
}
export type RunKind = keyof RunKinds;

type RecordOf<Kind extends RunKind> = DatabaseRecord<
  Run,
  RunKinds[Kind] & {
    readonly kind: Kind;
    readonly executionProvider: "CPU" | "CUDA" | null;
    readonly error: FailureRecord | null;
  }
>;

/** A run of some kind: its `kind` tells which. */
export type RunRecord<Kind extends RunKind = RunKind> = { readonly [Each in Kind]: RecordOf<Each> }[Kind];

/** What is asked for, of whichever kind. */
export interface NewRun<Kind extends RunKind = RunKind> {
  readonly kind: Kind;
  readonly modelId: string;
  readonly options: RunKinds[Kind]["options"];
  readonly method?: RunKinds[Kind]["method"];
  readonly datasetId: string;
  /** Higher goes first; 0 if unsaid. */
  readonly priority?: number;
  readonly comparisonKey?: string;
  readonly overlapRatio?: number;
}

export interface RunFilter {
  readonly kinds?: readonly RunKind[] | undefined;
  readonly statuses?: readonly Run["status"][] | undefined;
  readonly modelId?: string | undefined;
}

/** Puts a run's job into the queue, in the transaction that is given: there is never one without the other. */
export type Enqueue = (tx: Database, run: RunRecord) => Promise<void>;

/** The statuses of runs that are not over. */
export const notOver: Run["status"][] = ["QUEUED", "RUNNING"];

export const toRunRecord = <Kind extends RunKind>(row: Run): RunRecord<Kind> => toRecord(row) as RunRecord<Kind>;

/**
 * Stores a new run, QUEUED. To be called in a transaction, which puts it into the queue too.
 *
 * @throws EspalierError MODEL_NOT_FOUND
 */
export async function insertRun<Kind extends RunKind>(tx: Database, { options, ...run }: NewRun<Kind>): Promise<RunRecord<Kind>> {
  const { id: modelId } = await holdModel(tx, run.modelId);
  return toRunRecord(await tx.run.create({ data: { ...run, modelId, options: { ...options } as unknown as Prisma.InputJsonObject } }));
}

/**
 * Puts a run that was cancelled or failed back into the queue.
 *
 * @param stands where it goes on, for its event
 * @throws EspalierError RUN_NOT_FOUND; RUN_NOT_RESUMABLE if it is neither
 */
export function resumeRun(
  store: Store,
  id: string,
  stands: (tx: Database, run: RunRecord) => Promise<PayloadOf<"RESUMED">>,
  enqueue: Enqueue,
): Promise<RunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const { id: runId } = await getRun(tx, id);
    const { count } = await tx.run.updateMany({
      where: { id: runId, status: { in: ["CANCELLED", "FAILED"] } },
      data: { status: "QUEUED", error: Prisma.DbNull, finishedAt: null },
    });
    const run = await getRun(tx, runId);
    if (count === 0) {
      const { status } = run;
      const message = `only a run that was cancelled or failed can be resumed: it is ${status}`;
      throw new EspalierError("RUN_NOT_RESUMABLE", message, { id, status });
    }
    await appendEvent(tx, runId, "RESUMED", await stands(tx, run));
    await enqueue(tx, run);
    return getRun(tx, runId);
  });
}

/** The places of runs among those of their kind that wait for the same sort of worker, from 1; null for a run that does not wait. */
export async function queuePositions(db: Database, ids: readonly string[]): Promise<(number | null)[]> {
  const rows = await db.$queryRaw<{ id: string; position: bigint }[]>`
    SELECT id, position FROM (
      SELECT id, row_number() OVER (PARTITION BY kind, options->>'executionProvider' ORDER BY priority DESC, id) AS position
      FROM "Run" WHERE status = 'QUEUED' AND "modelId" IS NOT NULL
    ) waiting WHERE id = ANY(${[...ids]}::uuid[])`;
  const byId = new Map(rows.map(({ id, position }) => [id, Number(position)]));
  return ids.map((id) => byId.get(id) ?? null);
}

/** Null where there is none, or none of the kind. */
export async function findRun<Kind extends RunKind = RunKind>(db: Database, id: string, kind?: Kind): Promise<RunRecord<Kind> | null> {
  const row = isId(id) ? await db.run.findUnique({ where: { id } }) : null;
  return row && (kind === undefined || row.kind === kind) ? toRunRecord(row) : null;
}

/** @throws EspalierError RUN_NOT_FOUND */
export async function getRun<Kind extends RunKind = RunKind>(db: Database, id: string, kind?: Kind): Promise<RunRecord<Kind>> {
  const run = await findRun(db, id, kind);
  if (!run) throw new EspalierError("RUN_NOT_FOUND", `there is no ${kind === "PRUNING" ? "pruning run" : "run"} ${id}`, { id });
  return run;
}

/** How runs are ordered: by when they were asked for. */
export type RunOrder = "NEWEST_FIRST" | "OLDEST_FIRST";

/** @throws EspalierError BAD_CURSOR */
export async function listRuns<Kind extends RunKind = RunKind>(
  db: Database,
  page: PageRequest,
  { kinds, statuses, modelId }: RunFilter & { readonly kinds?: readonly Kind[] | undefined } = {},
  orderBy: RunOrder = "NEWEST_FIRST",
): Promise<Page<RunRecord<Kind>>> {
  if (modelId !== undefined && !isId(modelId)) return pageOf([], page.first);
  const { before, order } = byAge(page, orderBy);
  const among = <Value>(values: readonly Value[] | undefined) => (values ? { in: [...values] } : undefined);
  const rows = await db.run.findMany({ where: { kind: among(kinds), status: among(statuses), modelId, ...before }, ...order });
  return pageOf(rows.map(toRunRecord<Kind>), page.first);
}

/**
 * Ends a run by request, unless it is over; its worker learns of it within a second or so.
 *
 * @returns the run as it is then, and whether it was this that ended it
 * @throws EspalierError RUN_NOT_FOUND
 */
export function endByRequest(store: Store, id: string): Promise<{ readonly run: RunRecord; readonly ended: boolean }> {
  return store.prisma.$transaction(async (tx) => {
    const { id: runId } = await getRun(tx, id);
    const { count } = await tx.run.updateMany({
      where: { id: runId, status: { in: notOver } },
      data: { status: "CANCELLED", finishedAt: new Date() },
    });
    if (count > 0) await appendEvent(tx, runId, "CANCELLED", {});
    return { run: await getRun(tx, runId), ended: count > 0 };
  });
}

/**
 * Cancels a run that is not over.
 *
 * @throws EspalierError RUN_NOT_FOUND; RUN_NOT_CANCELLABLE if it is over
 */
export async function cancelRun(store: Store, id: string): Promise<RunRecord> {
  const { run, ended } = await endByRequest(store, id);
  if (ended) return run;
  const { status } = run;
  throw new EspalierError("RUN_NOT_CANCELLABLE", `the run is over: it is ${status}`, { id, status });
}
