import { EspalierError } from "../errors.ts";
import type { InspectedModel } from "../models/types.ts";
import type { IterationRecord } from "../pruning/events.ts";
import { appendEvent, type EventPayloads } from "./events.ts";
import { type ConfirmFiles, getModel, insertModel } from "./models.ts";
import { type FailureRecord, findRun, type RunRecord } from "./runs.ts";
import { insertScores } from "./scores.ts";
import type { Database, Store } from "./store.ts";

/** A worker's right to write to a run: until the run is over, or another worker takes it up. */
export interface RunClaim {
  readonly runId: string;
  readonly attempt: number;
}

/** Takes a run up, for the first time or after a worker that was lost. Null if there is nothing to do: it is over or gone. */
export async function claimRun(store: Store, runId: string): Promise<(RunClaim & { readonly run: RunRecord }) | null> {
  const { count } = await store.prisma.pruningRun.updateMany({
    where: { id: runId, status: { in: ["QUEUED", "RUNNING"] } },
    data: { status: "RUNNING", attempt: { increment: 1 } },
  });
  const run = count > 0 ? await findRun(store.prisma, runId) : null;
  return run && { runId, attempt: run.attempt, run };
}

/** Gives a run back that is not over: it waits for the next worker. Nothing if the claim stands no more. */
export async function releaseRun(store: Store, { runId, attempt }: RunClaim): Promise<void> {
  await store.prisma.pruningRun.updateMany({ where: { id: runId, attempt, status: "RUNNING" }, data: { status: "QUEUED" } });
}

/** @throws EspalierError RUN_LOST if the claim stands no more */
function whileClaimed<T>(store: Store, { runId, attempt }: RunClaim, write: (tx: Database) => Promise<T>): Promise<T> {
  return store.prisma.$transaction(async (tx) => {
    const rows = await tx.$queryRaw<unknown[]>`
      SELECT 1 FROM "PruningRun" WHERE id = ${runId}::uuid AND attempt = ${attempt} AND status = 'RUNNING' FOR UPDATE`;
    if (rows.length === 0) throw new EspalierError("RUN_LOST", `the run ${runId} is over or another worker has it`, { id: runId });
    return write(tx);
  });
}

/** Whether the claim stands. */
export async function holdsClaim(store: Store, { runId, attempt }: RunClaim): Promise<boolean> {
  return (await store.prisma.pruningRun.count({ where: { id: runId, attempt, status: "RUNNING" } })) > 0;
}

/** Records that the loop runs, and on what. A run that is resumed has started already. */
export function recordStart(store: Store, claim: RunClaim, payload: EventPayloads["STARTED"]): Promise<void> {
  return whileClaimed(store, claim, async (tx) => {
    const { count } = await tx.pruningRun.updateMany({
      where: { id: claim.runId, startedAt: null },
      data: { startedAt: new Date(), executionProvider: payload.executionProvider },
    });
    if (count > 0) await appendEvent(tx, claim.runId, "STARTED", payload);
  });
}

export async function recordScoring(store: Store, claim: RunClaim, payload: EventPayloads["SCORING"]): Promise<void> {
  await whileClaimed(store, claim, (tx) => appendEvent(tx, claim.runId, "SCORING", payload));
}

/** Records an iteration: its row, its scores, its event. Nothing if that was done, by a commit whose answer was lost. */
export function recordIteration(store: Store, claim: RunClaim, { type, scores, ...event }: IterationRecord): Promise<void> {
  const { iteration: index, removed, parameterCount, removedRatio, loss, perturbedLoss, durationMs } = event;
  const { runId } = claim;
  return whileClaimed(store, claim, async (tx) => {
    if ((await tx.iteration.count({ where: { runId, index } })) > 0) return;
    const row = { runId, index, removed: removed.map((r) => ({ ...r })), parameterCount, removedRatio, loss, perturbedLoss, durationMs };
    await tx.iteration.create({ data: row });
    await insertScores(tx, runId, index, scores);
    await tx.pruningRun.update({ where: { id: runId }, data: { removedRatio } });
    await appendEvent(tx, runId, type, event);
  });
}

/** Records success: the pruned model, a child of the run's, the run's end and the memory it took. */
export function recordSuccess(
  store: Store,
  claim: RunClaim,
  pruned: InspectedModel,
  peakMemoryBytes: number | null = null,
  confirmFiles?: ConfirmFiles,
): Promise<void> {
  const { runId } = claim;
  return whileClaimed(store, claim, async (tx) => {
    const run = await tx.pruningRun.findUniqueOrThrow({ where: { id: runId } });
    const base = await getModel(tx, run.modelId);
    const removedRatio = (base.parameterCount - pruned.parameterCount) / base.parameterCount;
    const name = `${base.name}-${run.method.toLowerCase().replaceAll("_", "-")}-${Math.round(removedRatio * 100)}`;
    const { id: modelId } = await insertModel(tx, pruned, name, base.id, confirmFiles);
    await tx.pruningRun.update({
      where: { id: runId },
      data: { status: "SUCCEEDED", resultModelId: modelId, removedRatio, peakMemoryBytes, finishedAt: new Date() },
    });
    await appendEvent(tx, runId, "SUCCEEDED", { modelId, parameterCount: pruned.parameterCount, removedRatio });
  });
}

/** Records failure, whoever holds the run; nothing if it is over. */
export function recordFailure(store: Store, runId: string, { code, message }: FailureRecord): Promise<void> {
  return store.prisma.$transaction(async (tx) => {
    const { count } = await tx.pruningRun.updateMany({
      where: { id: runId, status: { in: ["QUEUED", "RUNNING"] } },
      data: { status: "FAILED", error: { code, message }, finishedAt: new Date() },
    });
    if (count > 0) await appendEvent(tx, runId, "FAILED", { code, message });
  });
}
