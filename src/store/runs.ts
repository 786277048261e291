import type { CompressionSummary } from "../compression/events.ts";
import type { CompressionOptions } from "../compression/options.ts";
import { EspalierError } from "../errors.ts";
import type { EvaluationResult, EvaluationSettings } from "../evaluation/evaluate.ts";
import { Prisma, type Run } from "../generated/prisma/client.ts";
import type { ExportOptions } from "../models/formats/export-model.ts";
import type { PruningOptions } from "../pruning/options.ts";
import type { RecoverySummary } from "../recovery/events.ts";
import type { RecoveryOptions } from "../recovery/options.ts";
import type { SelfTextOptions } from "../text/self-text-options.ts";
import { holdDataset } from "./datasets.ts";
import { appendEvent, type PayloadOf } from "./events.ts";
import { type AgeFilter, among, createdWithin, namesNobody } from "./filters.ts";
import { holdModel } from "./models.ts";
import { type Listing, type ListOrder, listRows, newestFirst, noRows, oldestFirst, type PageRequest } from "./page.ts";
import { type DatabaseRecord, isId, toRecord } from "./record.ts";
import type { Database, Store } from "./store.ts";

export { RunStatus } from "../generated/prisma/enums.ts";

/** Why a run failed. */
export interface FailureRecord {
  readonly code: string;
  readonly message: string;
}

/** What every run is asked: on what it is to run. `AUTO` where it computes nothing. */
interface CommonOptions {
  readonly executionProvider: "AUTO" | "CPU" | "CUDA";
}

/** What each kind of run is asked to do, and what it finds. */
export interface RunKinds {
  readonly PRUNING: { readonly method: string; readonly options: PruningOptions; readonly result: null };
  readonly EVALUATION: { readonly method: null; readonly options: EvaluationSettings; readonly result: EvaluationResult | null };
  readonly RECOVERY: {
    readonly method: string;
    /**
     * `self`: what the teacher is to write, where there was no dataset. Of runs from before it could, nothing. `rank` null: the usual one, of a model
     * that was not there yet.
     */
    readonly options: Omit<RecoveryOptions, "rank"> & { readonly rank: number | null; readonly self?: SelfTextOptions | null };
    readonly result: RecoverySummary | null;
  };
  readonly COMPRESSION: { readonly method: string; readonly options: CompressionOptions; readonly result: CompressionSummary | null };
  readonly IMPORT: { readonly method: null; readonly options: ImportOptions & CommonOptions; readonly result: null };
  readonly EXPORT: { readonly method: null; readonly options: ExportOptions & CommonOptions; readonly result: null };
}
export type RunKind = keyof RunKinds;

/** Where an imported model comes from, as a client said it. */
export type ImportOrigin =
  | { readonly kind: "PATH"; readonly path: string }
  | { readonly kind: "UPLOAD"; readonly uploadId: string }
  | { readonly kind: "HUB"; readonly repository: string; readonly revision: string; readonly files: readonly string[] | null };

interface ImportOptions {
  readonly from: ImportOrigin;
  /** What to call the model. */
  readonly name: string;
}

type Asked<Kinds extends { readonly [Kind in keyof Kinds]: { readonly options: CommonOptions } }> = Kinds;

type RecordOf<Kind extends RunKind> = DatabaseRecord<
  Run,
  Asked<RunKinds>[Kind] & {
    readonly kind: Kind;
    readonly executionProvider: "CPU" | "CUDA" | null;
    readonly error: FailureRecord | null;
  }
>;

/** A run of some kind: its `kind` tells which. */
export type RunRecord<Kind extends RunKind = RunKind> = { readonly [Each in Kind]: RecordOf<Each> }[Kind];

/** What a run works on: a model, or what another run makes, for which it waits. */
export type Subject = { readonly modelId: string } | { readonly resultOf: string };

/** What is asked for, of whichever kind. One that makes a model of what is no model yet has none to work on. */
export type NewRun<Kind extends RunKind = RunKind> = (Subject | { readonly modelId: null }) & RunRequest<Kind>;

export interface RunRequest<Kind extends RunKind> {
  readonly kind: Kind;
  readonly options: RunKinds[Kind]["options"];
  readonly method?: RunKinds[Kind]["method"];
  /** None for a kind that reads no texts. */
  readonly datasetId?: string;
  /** Higher goes first; 0 if unsaid. */
  readonly priority?: number;
  readonly comparisonKey?: string;
  readonly overlapRatio?: number;
}

export interface RunFilter extends AgeFilter {
  readonly kinds?: readonly RunKind[] | undefined;
  readonly statuses?: readonly Run["status"][] | undefined;
  readonly methods?: readonly string[] | undefined;
  readonly modelId?: string | undefined;
  readonly datasetId?: string | undefined;
  /** Of the run whose result they work on. */
  readonly resultOf?: string | undefined;
  readonly comparisonKey?: string | undefined;
}

/** Puts a run's job into the queue, in the transaction that is given: there is never one without the other. */
export type Enqueue = (tx: Database, run: RunRecord) => Promise<void>;

/** The statuses of runs that are not over. */
export const notOver: Run["status"][] = ["QUEUED", "RUNNING"];

export const toRunRecord = <Kind extends RunKind>(row: Run): RunRecord<Kind> => toRecord(row) as RunRecord<Kind>;

/**
 * Stores a new run, QUEUED. To be called in a transaction, which puts it into the queue too, with `enqueueReady`.
 *
 * @throws EspalierError MODEL_NOT_FOUND; RUN_NOT_FOUND, RUN_WITHOUT_RESULT where it is to work on a run's result
 */
export async function insertRun<Kind extends RunKind>(tx: Database, { options, ...asked }: NewRun<Kind>): Promise<RunRecord<Kind>> {
  const { modelId, resultOf = null, ...run } = { modelId: null, resultOf: undefined, ...asked };
  const subject = resultOf === null ? null : await heldSubject(tx, resultOf);
  const known = subject ? subject.resultModelId : modelId;
  if (asked.datasetId !== undefined) await holdDataset(tx, asked.datasetId);
  const data = {
    ...run,
    modelId: known === null ? null : (await holdModel(tx, known)).id,
    subjectRunId: subject?.id ?? null,
    options: { ...options } as unknown as Prisma.InputJsonObject,
  };
  return toRunRecord(await tx.run.create({ data }));
}

/**
 * A run whose result another is to work on. It does not end until the transaction does.
 *
 * @throws EspalierError RUN_NOT_FOUND; RUN_WITHOUT_RESULT if it is over and made no model
 */
async function heldSubject(tx: Database, id: string): Promise<RunRecord> {
  if (isId(id)) await tx.$executeRaw`SELECT 1 FROM "Run" WHERE id = ${id}::uuid FOR SHARE`;
  const run = await getRun(tx, id);
  requireResult(run);
  return run;
}

/** @throws EspalierError RUN_WITHOUT_RESULT if a run is over and made no model */
export function requireResult({ id, status, resultModelId, finishedAt }: RunRecord): void {
  if (finishedAt && resultModelId === null)
    throw new EspalierError("RUN_WITHOUT_RESULT", `the run ${id} is ${status} and has no model to work on`, { id, status });
}

/** Puts a run into the queue, unless it waits for the result of another: then it comes there with that. */
export async function enqueueReady(tx: Database, run: RunRecord, enqueue: Enqueue): Promise<void> {
  if (run.modelId !== null || run.subjectRunId === null) await enqueue(tx, run);
}

/** Gives those that wait for a run's result the model that it made, and puts them into the queue. */
export async function readyFollowers(tx: Database, runId: string, modelId: string, enqueue: Enqueue): Promise<void> {
  for (const row of await tx.run.updateManyAndReturn({ where: waitingFor(runId), data: { modelId } })) {
    await appendEvent(tx, row.id, "QUEUED", { modelId });
    await enqueue(tx, toRunRecord(row));
  }
}

/** Those that wait for a run's result. */
const waitingFor = (runId: string) => ({ subjectRunId: runId, modelId: null, status: "QUEUED" as const });

/** How a run ends that does not succeed. */
type End = { readonly status: "CANCELLED" } | { readonly status: "FAILED"; readonly error: FailureRecord };

/**
 * Ends a run that is not over, and with it those that wait for its result. To be called in a transaction.
 *
 * @returns whether it was this that ended it
 */
export async function endRun(tx: Database, id: string, end: End): Promise<boolean> {
  const failed = end.status === "FAILED" ? { ...end.error } : null;
  const { count } = await tx.run.updateMany({
    where: { id, status: { in: notOver } },
    data: { status: end.status, finishedAt: new Date(), ...(failed ? { error: failed } : {}) },
  });
  if (count === 0) return false;
  await (failed ? appendEvent(tx, id, "FAILED", failed) : appendEvent(tx, id, "CANCELLED", {}));
  const message = `the run ${id}, for whose result it waited, failed`;
  const theirs: End = failed ? { status: "FAILED", error: { code: "SUBJECT_FAILED", message } } : end;
  for (const follower of await tx.run.findMany({ where: waitingFor(id), select: { id: true } })) await endRun(tx, follower.id, theirs);
  return true;
}

/**
 * Puts a run that was cancelled or failed back into the queue. One that waited for the result of another waits again, or takes it up.
 *
 * @param stands where it goes on, for its event
 * @throws EspalierError RUN_NOT_FOUND; RUN_NOT_RESUMABLE if it is neither; RUN_WITHOUT_RESULT if what it waited for has to be resumed first
 */
export function resumeRun(
  store: Store,
  id: string,
  stands: (tx: Database, run: RunRecord) => Promise<PayloadOf<"RESUMED">>,
  enqueue: Enqueue,
): Promise<RunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const { id: runId, subjectRunId, modelId } = await getRun(tx, id);
    const subject = modelId === null && subjectRunId !== null ? await heldSubject(tx, subjectRunId) : null;
    const { count } = await tx.run.updateMany({
      where: { id: runId, status: { in: ["CANCELLED", "FAILED"] } },
      data: { status: "QUEUED", error: Prisma.DbNull, finishedAt: null, ...(subject ? { modelId: subject.resultModelId } : {}) },
    });
    const run = await getRun(tx, runId);
    if (count === 0) {
      const { status } = run;
      const message = `only a run that was cancelled or failed can be resumed: it is ${status}`;
      throw new EspalierError("RUN_NOT_RESUMABLE", message, { id, status });
    }
    await appendEvent(tx, runId, "RESUMED", await stands(tx, run));
    await enqueueReady(tx, run, enqueue);
    return getRun(tx, runId);
  });
}

/** The places of runs among those of their kind that wait for the same sort of worker, from 1; null for a run that does not wait. */
export async function queuePositions(db: Database, ids: readonly string[]): Promise<(number | null)[]> {
  const rows = await db.$queryRaw<{ id: string; position: bigint }[]>`
    SELECT id, position FROM (
      SELECT id, row_number() OVER (PARTITION BY kind, options->>'executionProvider' ORDER BY priority DESC, id) AS position
      FROM "Run" WHERE status = 'QUEUED' AND ("modelId" IS NOT NULL OR "subjectRunId" IS NULL)
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

/** How runs can be listed. */
export const runOrders = {
  NEWEST_FIRST: newestFirst,
  OLDEST_FIRST: oldestFirst,
  QUEUE: { column: "priority", holds: "number", descending: true, oldestFirst: true },
} as const satisfies Record<string, ListOrder>;
export type RunOrder = keyof typeof runOrders;

/** @throws EspalierError BAD_CURSOR */
export async function listRuns<Kind extends RunKind = RunKind>(
  db: Database,
  page: PageRequest,
  {
    kinds,
    statuses,
    methods,
    modelId,
    datasetId,
    resultOf,
    comparisonKey,
    ...age
  }: RunFilter & { readonly kinds?: readonly Kind[] | undefined } = {},
  orderBy: RunOrder = "NEWEST_FIRST",
): Promise<Listing<RunRecord<Kind>>> {
  if (namesNobody(modelId, datasetId, resultOf)) return noRows;
  const named = { kind: among(kinds), status: among(statuses), method: among(methods) };
  const where = { ...named, modelId, datasetId, subjectRunId: resultOf, comparisonKey, createdAt: createdWithin(age) };
  return listRows(db.run, where, page, runOrders[orderBy], toRunRecord<Kind>);
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
    const ended = await endRun(tx, runId, { status: "CANCELLED" });
    return { run: await getRun(tx, runId), ended };
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

/**
 * Deletes a run with its steps, scores and events.
 *
 * @throws EspalierError RUN_NOT_FOUND; RUN_NOT_OVER; RUN_HAS_RESULT while the model or export that it made is there; RUN_IN_USE while there are runs
 *   that never had the result for which they waited
 */
export function deleteRun(store: Store, id: string): Promise<void> {
  return store.prisma.$transaction(async (tx) => {
    // Nobody takes it up or waits for it meanwhile, or deletes it too.
    if (isId(id)) await tx.$executeRaw`SELECT 1 FROM "Run" WHERE id = ${id}::uuid FOR UPDATE`;
    const { id: runId, status, resultModelId } = await getRun(tx, id);
    if (notOver.includes(status)) throw new EspalierError("RUN_NOT_OVER", `the run is ${status}: cancel it first`, { id, status });
    if (resultModelId !== null)
      throw new EspalierError("RUN_HAS_RESULT", `the run says how the model ${resultModelId} was made: delete that first`, {
        id,
        resultModelId,
      });
    if ((await tx.modelExport.count({ where: { runId } })) > 0)
      throw new EspalierError("RUN_HAS_RESULT", "the run says how an export of its model was written: delete that first", { id });
    const followers = await tx.run.count({ where: { subjectRunId: runId, modelId: null } });
    if (followers > 0)
      throw new EspalierError("RUN_IN_USE", `${followers} runs were to work on its result, and can be resumed: delete them first`, {
        id,
        followers,
      });
    await tx.requestKey.deleteMany({ where: { resultId: runId } });
    await tx.run.delete({ where: { id: runId } });
  });
}
