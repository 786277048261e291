import type { InspectedModel } from "../models/types.ts";
import type { RecoverySummary } from "../recovery/events.ts";
import { holdDataset, type NewDataset, registerDataset } from "./datasets.ts";
import { appendEvent, type RunEvents } from "./events.ts";
import { ancestors } from "./lineage.ts";
import { type ConfirmFiles, getModel, holdFiles, insertModel, type ModelRecord } from "./models.ts";
import { type KeyedRequest, makeOnce } from "./request-keys.ts";
import { type RunClaim, succeedRun, whileClaimed } from "./run-progress.ts";
import { type Enqueue, enqueueReady, getRun, insertRun, type RunRecord, type RunRequest, type Subject } from "./runs.ts";
import type { Database, Store } from "./store.ts";

export type RecoveryRunRecord = RunRecord<"RECOVERY">;

export type NewRecoveryRun = Subject &
  Omit<RunRequest<"RECOVERY">, "kind" | "comparisonKey" | "overlapRatio"> & { readonly method: string };

/**
 * Stores a new recovery run, QUEUED; or finds the one that an earlier request with the same key stored.
 *
 * @throws EspalierError what `insertRun` throws; IDEMPOTENCY_KEY_REUSED
 */
export function createRecoveryRun(store: Store, asked: NewRecoveryRun, enqueue: Enqueue, keyed?: KeyedRequest): Promise<RecoveryRunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const id = await makeOnce(tx, keyed, async () => {
      const run = await insertRun(tx, { ...asked, kind: "RECOVERY" });
      await enqueueReady(tx, run, enqueue);
      return run.id;
    });
    return getRun(tx, id, "RECOVERY");
  });
}

/** How far up a model's line its teacher is looked for. */
const farthest = 100;

/** The nearest ancestor with more parameters: what a model was pruned from, though it was healed since. Null if there is none. */
export async function largerAncestor(
  db: Database,
  own: Pick<ModelRecord, "id" | "parameterCount" | "pruningObstacle">,
): Promise<ModelRecord | null> {
  const isCoded = ({ pruningObstacle }: Pick<ModelRecord, "pruningObstacle">) => pruningObstacle?.code === "QUANTISED_WEIGHTS";
  const isMore = (model: ModelRecord) => (isCoded(own) ? !isCoded(model) : model.parameterCount > own.parameterCount);
  return (await ancestors(db, own.id, farthest)).find(({ model }) => isMore(model))?.model ?? null;
}

/** The artifact from which a run goes on; null while it has none. */
export async function checkpointOf(db: Database, runId: string): Promise<string | null> {
  return (await db.checkpoint.findUnique({ where: { runId } }))?.sha256 ?? null;
}

/** Steps that a run need not make again. */
export async function checkedSteps(db: Database, runId: string): Promise<number> {
  return (await db.checkpoint.findUnique({ where: { runId } }))?.step ?? 0;
}

/** Records that training runs, and on what. A run that is resumed has started already. */
export function recordTrainingStart(store: Store, claim: RunClaim, payload: RunEvents["RECOVERY"]["STARTED"]): Promise<void> {
  return whileClaimed(store, claim, async (tx) => {
    const { count } = await tx.run.updateMany({
      where: { id: claim.id, startedAt: null },
      data: { startedAt: new Date(), executionProvider: payload.executionProvider },
    });
    if (count > 0) await appendEvent(tx, claim.id, "STARTED", payload);
  });
}

/** Records how far it is. */
export function recordStep<Type extends "STEP" | "READ">(
  store: Store,
  claim: RunClaim,
  type: Type,
  payload: RunEvents["RECOVERY"][Type],
): Promise<void> {
  return whileClaimed(store, claim, async (tx) => {
    await tx.run.update({ where: { id: claim.id }, data: { progress: payload.step / payload.steps } });
    await appendEvent<"STEP" | "READ">(tx, claim.id, type, payload);
  });
}

/** Records how much of its texts the teacher has written. */
export const recordWriting = (store: Store, claim: RunClaim, payload: RunEvents["RECOVERY"]["WRITING"]): Promise<void> =>
  whileClaimed(store, claim, async (tx) => void (await appendEvent(tx, claim.id, "WRITING", payload)));

/**
 * Records the texts that the teacher has written as the run's dataset. Nothing if that was done, by a process before: the same texts come of the same seed.
 *
 * @param described of the records, which are stored
 */
export async function recordTexts(
  store: Store,
  { id, attempt, options, modelId }: RecoveryRunRecord,
  tokens: number,
  described: Omit<NewDataset, "name" | "description">,
  confirmFile: () => Promise<unknown>,
): Promise<void> {
  const description = `Written for the recovery run ${id} of the model ${modelId} by what it learns from: ${tokens} tokens, seed ${options.seed}, ${JSON.stringify(options.self)}`;
  const { id: datasetId } = await registerDataset(
    store,
    { name: null, description: description.slice(0, 2000), ...described },
    confirmFile,
  );
  await whileClaimed(store, { id, attempt }, async (tx) => {
    await holdDataset(tx, datasetId);
    const { count } = await tx.run.updateMany({ where: { id, datasetId: null }, data: { datasetId } });
    if (count > 0) await appendEvent(tx, id, "TEXTS", { datasetId, texts: described.recordCount, tokens });
  });
}

/** Records that training went back, and why. */
export const recordRetreat = (store: Store, claim: RunClaim, payload: RunEvents["RECOVERY"]["RETREATED"]): Promise<void> =>
  whileClaimed(store, claim, async (tx) => void (await appendEvent(tx, claim.id, "RETREATED", payload)));

/**
 * Records a check and the file from which the run goes on from now. Nothing if that was done, by a commit whose answer was lost.
 *
 * @returns the artifact that it had before, if any: it may be of use to nobody now
 */
export function recordCheck(
  store: Store,
  { id: runId, attempt, options }: RecoveryRunRecord,
  payload: RunEvents["RECOVERY"]["CHECK"],
  { sha256, sizeBytes }: { readonly sha256: string; readonly sizeBytes: number },
): Promise<string | null> {
  return whileClaimed(store, { id: runId, attempt }, async (tx) => {
    await holdFiles(tx);
    const before = await tx.checkpoint.findUnique({ where: { runId } });
    const { step } = payload;
    if (before && before.step >= step) return null;
    await tx.artifact.createMany({ data: { sha256, sizeBytes }, skipDuplicates: true });
    await tx.checkpoint.upsert({ where: { runId }, create: { runId, step, sha256 }, update: { step, sha256 } });
    await tx.run.update({ where: { id: runId }, data: { progress: step / options.steps } });
    await appendEvent(tx, runId, "CHECK", payload);
    return before?.sha256 ?? null;
  });
}

/** Where a run stands by its last check. */
export const recoveryStands = async (tx: Database, { id }: Pick<RecoveryRunRecord, "id">): Promise<RunEvents["RECOVERY"]["RESUMED"]> => ({
  step: await checkedSteps(tx, id),
});

/**
 * Records success: the healed model, a child of the run's, and the run's end.
 *
 * @returns the artifact of its last check, which is of no use any more
 */
export async function recordHealed(
  store: Store,
  claim: RecoveryRunRecord,
  {
    healed,
    summary,
    peakMemoryBytes,
  }: { readonly healed: InspectedModel; readonly summary: RecoverySummary; readonly peakMemoryBytes: number },
  enqueue: Enqueue,
  confirmFiles?: ConfirmFiles,
): Promise<string | null> {
  let last: string | null = null;
  await succeedRun(store, claim, enqueue, async (tx) => {
    const base = await getModel(tx, claim.modelId ?? "");
    const name = `${base.name}-${claim.method.toLowerCase().replaceAll("_", "-")}`;
    const { id: modelId } = await insertModel(tx, healed, name, base.id, confirmFiles);
    last = await checkpointOf(tx, claim.id);
    await tx.checkpoint.deleteMany({ where: { runId: claim.id } });
    return {
      resultModelId: modelId,
      columns: { result: { ...summary }, peakMemoryBytes },
      event: { modelId, parameterCount: healed.parameterCount, ...summary },
    };
  });
  return last;
}
