import type { Iteration } from "../generated/prisma/client.ts";
import type { InspectedModel } from "../models/types.ts";
import type { IterationRecord, RemovedStructure } from "../pruning/events.ts";
import { appendEvent, type PayloadOf, type RunEvents } from "./events.ts";
import { type ConfirmFiles, getModel, insertModel } from "./models.ts";
import { type DatabaseRecord, toRecord } from "./record.ts";
import { removedAtOnce } from "./removed.ts";
import { type KeyedRequest, makeOnce } from "./request-keys.ts";
import { type RunClaim, succeedRun, whileClaimed } from "./run-progress.ts";
import { type Enqueue, enqueueReady, getRun, insertRun, type RunRecord, type RunRequest, type Subject } from "./runs.ts";
import { copyScores, insertScores } from "./scores.ts";
import type { Database, Store } from "./store.ts";

export type PruningRunRecord = RunRecord<"PRUNING">;
export type IterationRow = DatabaseRecord<Iteration, { readonly removed: readonly RemovedStructure[] }>;

export type NewPruningRun = Subject & PruningRequest;

interface PruningRequest extends Omit<RunRequest<"PRUNING">, "kind" | "comparisonKey" | "overlapRatio"> {
  readonly method: string;
  /** It begins with so many iterations of another run. */
  readonly from?: { readonly run: PruningRunRecord; readonly iterations: number } | undefined;
}

/**
 * Stores a new pruning run, QUEUED; or finds the one that an earlier request with the same key stored.
 *
 * @throws EspalierError what `insertRun` throws; IDEMPOTENCY_KEY_REUSED
 */
export function createPruningRun(
  store: Store,
  { from, ...asked }: NewPruningRun,
  enqueue: Enqueue,
  keyed?: KeyedRequest,
): Promise<PruningRunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const id = await makeOnce(tx, keyed, async () => {
      const run = await insertRun(tx, { ...asked, kind: "PRUNING" });
      if (from) await beginFrom(tx, run, from);
      await enqueueReady(tx, await getRun(tx, run.id), enqueue);
      return run.id;
    });
    return getRun(tx, id, "PRUNING");
  });
}

/** Gives a new run the first iterations of another, with their scores. It runs on what they ran on. */
async function beginFrom(
  tx: Database,
  run: PruningRunRecord,
  { run: from, iterations: count }: NonNullable<NewPruningRun["from"]>,
): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO "Iteration" ("runId", index, removed, "parameterCount", "removedRatio", loss, "perturbedLoss", "durationMs")
    SELECT ${run.id}::uuid, index, removed, "parameterCount", "removedRatio", loss, "perturbedLoss", "durationMs"
    FROM "Iteration" WHERE "runId" = ${from.id}::uuid AND index < ${count}::int`;
  await copyScores(tx, from.id, run.id, count);
  const stands = await pruningStands(tx, run);
  await tx.run.update({
    where: { id: run.id },
    data: { fromRunId: from.id, executionProvider: from.executionProvider, ...removed(run, stands.removedRatio) },
  });
  await appendEvent(tx, run.id, "RESUMED", { ...stands, fromRunId: from.id });
}

/** The columns that say how far a run has come. */
const removed = ({ options }: Pick<PruningRunRecord, "options">, removedRatio: number) => ({
  removedRatio,
  progress: Math.min(1, removedRatio / options.targetRatio),
});

/** Where a run stands by its stored iterations. */
export async function pruningStands(
  tx: Database,
  { id: runId, modelId }: Pick<PruningRunRecord, "id" | "modelId">,
): Promise<RunEvents["PRUNING"]["RESUMED"]> {
  const iterations = await countIterations(tx, runId);
  const last = await tx.iteration.findFirst({ where: { runId, index: iterations - 1 } });
  const base = last || modelId === null ? null : await getModel(tx, modelId);
  const parameterCount = last ? Number(last.parameterCount) : (base?.parameterCount ?? null);
  return { iterations, parameterCount, removedRatio: last?.removedRatio ?? 0, fromRunId: null };
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

/** Records that the loop runs, and on what. A run that is resumed has started already. */
export function recordStart(store: Store, claim: RunClaim, payload: RunEvents["PRUNING"]["STARTED"]): Promise<void> {
  return whileClaimed(store, claim, async (tx) => {
    const { count } = await tx.run.updateMany({
      where: { id: claim.id, startedAt: null },
      data: { startedAt: new Date(), executionProvider: payload.executionProvider },
    });
    if (count > 0) await appendEvent(tx, claim.id, "STARTED", payload);
  });
}

/** Records how far something is that is not stored itself. */
export async function recordPassing<Type extends "SCORING" | "RESTORING">(
  store: Store,
  claim: RunClaim,
  type: Type,
  payload: PayloadOf<Type>,
): Promise<void> {
  await whileClaimed(store, claim, (tx) => appendEvent(tx, claim.id, type, payload));
}

/** Records an iteration: its row, its scores, its event. Nothing if that was done, by a commit whose answer was lost. */
export function recordIteration(store: Store, run: PruningRunRecord, { type, scores, ...event }: IterationRecord): Promise<void> {
  const { iteration: index, removed: gone, parameterCount, removedRatio, loss, perturbedLoss, durationMs } = event;
  const { id: runId } = run;
  return whileClaimed(store, run, async (tx) => {
    if ((await tx.iteration.count({ where: { runId, index } })) > 0) return;
    const row = { runId, index, removed: gone.map((r) => ({ ...r })), parameterCount, removedRatio, loss, perturbedLoss, durationMs };
    await tx.iteration.create({ data: row });
    await insertScores(tx, runId, index, scores);
    await tx.run.update({ where: { id: runId }, data: removed(run, removedRatio) });
    await appendEvent(tx, runId, type, { ...event, removed: gone.slice(0, removedAtOnce), removedCount: gone.length });
  });
}

/** Records success: the pruned model, a child of the run's, the run's end and the memory it took. */
export function recordPruned(
  store: Store,
  claim: PruningRunRecord,
  pruned: InspectedModel,
  peakMemoryBytes: number | null,
  enqueue: Enqueue,
  confirmFiles?: ConfirmFiles,
): Promise<void> {
  return succeedRun(store, claim, enqueue, async (tx) => {
    const base = await getModel(tx, claim.modelId ?? "");
    const removedRatio = (base.parameterCount - pruned.parameterCount) / base.parameterCount;
    const name = `${base.name}-${claim.method.toLowerCase().replaceAll("_", "-")}-${Math.round(removedRatio * 100)}`;
    const { id: modelId } = await insertModel(tx, pruned, name, base.id, confirmFiles);
    return {
      resultModelId: modelId,
      columns: { removedRatio, peakMemoryBytes },
      event: { modelId, parameterCount: pruned.parameterCount, removedRatio },
    };
  });
}
