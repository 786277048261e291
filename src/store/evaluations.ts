import { createHash } from "node:crypto";
import { EspalierError } from "../errors.ts";
import type { EvaluationProgress, EvaluationResult, EvaluationSettings } from "../evaluation/evaluate.ts";
import { type Evaluation, Prisma } from "../generated/prisma/client.ts";
import type { DatasetRecord } from "./datasets.ts";
import { notify } from "./listener.ts";
import { holdModel } from "./models.ts";
import { type DatabaseRecord, isId, toRecord } from "./record.ts";
import type { FailureRecord } from "./runs.ts";
import type { Database, Store } from "./store.ts";

export type EvaluationRecord = DatabaseRecord<
  Evaluation,
  {
    readonly settings: EvaluationSettings;
    readonly result: EvaluationResult | null;
    readonly error: FailureRecord | null;
  }
>;

export interface NewEvaluation {
  readonly modelId: string;
  readonly dataset: DatasetRecord;
  readonly settings: EvaluationSettings;
  /** Share of the dataset that the model was pruned with. */
  readonly overlapRatio: number;
}

/** A worker's right to write to an evaluation: until it is over, or another worker takes it up. */
export type EvaluationClaim = Pick<EvaluationRecord, "id" | "attempt">;

/** What a dataset's form leaves of the settings: the others say nothing about what is measured. */
const settingsThatCount: Readonly<Record<DatasetRecord["form"], readonly (keyof EvaluationSettings)[]>> = {
  TEXT: ["sequenceLength", "stride", "maxTokens"],
  MULTIPLE_CHOICE: ["maxItems"],
};

/** What has changed in how a form is measured: numbers from before compare with none from after. */
const changes: Readonly<Record<DatasetRecord["form"], readonly string[]>> = {
  TEXT: [],
  MULTIPLE_CHOICE: ["contexts begin as the tokenizer has them"],
};

/**
 * Evaluations with equal keys measured the same thing the same way: the same records, settings that bear on the result, and
 * tokenizer, without which numbers per token say nothing of each other. Where they ran changes no more than rounding.
 */
function comparisonKeyOf({ digest, form }: DatasetRecord, settings: EvaluationSettings, tokenizer: string): string {
  const counting = settingsThatCount[form].map((name) => [name, settings[name]]);
  return createHash("sha256")
    .update(JSON.stringify([digest, form, counting, tokenizer, ...changes[form]]))
    .digest("hex");
}

/**
 * Stores a new evaluation, QUEUED.
 *
 * @param enqueue puts its job into the queue, in the same transaction
 * @throws EspalierError MODEL_NOT_FOUND
 */
export function createEvaluation(
  store: Store,
  { modelId, dataset, settings, overlapRatio }: NewEvaluation,
  enqueue: (tx: Database, evaluationId: string) => Promise<void>,
): Promise<EvaluationRecord> {
  return store.prisma.$transaction(async (tx) => {
    const { id } = await holdModel(tx, modelId);
    const tokenizer = await tx.modelFile.findFirst({ where: { modelId: id, path: "tokenizer.json" } });
    const comparisonKey = comparisonKeyOf(dataset, settings, tokenizer?.sha256 ?? "");
    const row = await tx.evaluation.create({
      data: { modelId: id, datasetId: dataset.id, settings: { ...settings }, comparisonKey, overlapRatio },
    });
    await enqueue(tx, row.id);
    return toRecord(row);
  });
}

/** Null where there is none. */
export async function findEvaluation(db: Database, id: string): Promise<EvaluationRecord | null> {
  const row = isId(id) ? await db.evaluation.findUnique({ where: { id } }) : null;
  return row && toRecord(row);
}

/** @throws EspalierError EVALUATION_NOT_FOUND */
export async function getEvaluation(db: Database, id: string): Promise<EvaluationRecord> {
  const evaluation = await findEvaluation(db, id);
  if (!evaluation) throw new EspalierError("EVALUATION_NOT_FOUND", `there is no evaluation ${id}`, { id });
  return evaluation;
}

/** Of each evaluation's model's parent the newest that compares with it; null where there is none. */
export async function comparableOfParents(db: Database, ids: readonly string[]): Promise<(EvaluationRecord | null)[]> {
  const found = await db.$queryRaw<{ id: string; other: string }[]>`
    SELECT DISTINCT ON (e.id) e.id, p.id AS other
    FROM "Evaluation" e JOIN "Model" m ON m.id = e."modelId"
    JOIN "Evaluation" p ON p."modelId" = m."parentId" AND p."comparisonKey" = e."comparisonKey" AND p.status = 'SUCCEEDED'
    WHERE e.id = ANY(${[...ids]}::uuid[]) ORDER BY e.id, p.id DESC`;
  const rows = await db.evaluation.findMany({ where: { id: { in: found.map((f) => f.other) } } });
  const byId = new Map(rows.map((row) => [row.id, toRecord(row) as EvaluationRecord]));
  const others = new Map(found.map((f) => [f.id, byId.get(f.other)]));
  return ids.map((id) => others.get(id) ?? null);
}

/** Takes an evaluation up, for the first time or after a worker that was lost. Null if it is over or gone. */
export async function claimEvaluation(store: Store, id: string): Promise<EvaluationRecord | null> {
  const { count } = await store.prisma.evaluation.updateMany({
    where: { id, status: { in: ["QUEUED", "RUNNING"] } },
    data: { status: "RUNNING", startedAt: new Date(), progressDone: 0, attempt: { increment: 1 } },
  });
  await tell(store.prisma, id);
  return count > 0 ? findEvaluation(store.prisma, id) : null;
}

/** Gives an evaluation back that is not over: it waits for the next worker. Nothing if the claim stands no more. */
export async function releaseEvaluation(store: Store, { id, attempt }: EvaluationClaim): Promise<void> {
  await store.prisma.evaluation.updateMany({ where: { id, attempt, status: "RUNNING" }, data: { status: "QUEUED" } });
  await tell(store.prisma, id);
}

/** Whether the claim stands. */
export async function holdsEvaluation(store: Store, { id, attempt }: EvaluationClaim): Promise<boolean> {
  return (await store.prisma.evaluation.count({ where: { id, attempt, status: "RUNNING" } })) > 0;
}

/** @throws EspalierError EVALUATION_LOST if the claim stands no more */
async function write(store: Store, { id, attempt }: EvaluationClaim, data: Prisma.EvaluationUpdateManyMutationInput): Promise<void> {
  const { count } = await store.prisma.evaluation.updateMany({ where: { id, attempt, status: "RUNNING" }, data });
  if (count === 0) throw new EspalierError("EVALUATION_LOST", `the evaluation ${id} is over or another worker has it`, { id });
  await tell(store.prisma, id);
}

/** @throws EspalierError EVALUATION_LOST if the claim stands no more */
export const recordEvaluationProgress = (store: Store, claim: EvaluationClaim, { done, total }: EvaluationProgress): Promise<void> =>
  write(store, claim, { progressDone: done, progressTotal: total });

/** @throws EspalierError EVALUATION_LOST if the claim stands no more */
export const recordEvaluation = (store: Store, claim: EvaluationClaim, result: EvaluationResult): Promise<void> =>
  write(store, claim, { status: "SUCCEEDED", result: { ...result }, finishedAt: new Date() });

/** Records failure, whoever holds the evaluation; nothing if it is over. */
export async function recordEvaluationFailure(store: Store, id: string, { code, message }: FailureRecord): Promise<void> {
  await store.prisma.evaluation.updateMany({
    where: { id, status: { in: ["QUEUED", "RUNNING"] } },
    data: { status: "FAILED", error: { code, message }, finishedAt: new Date() },
  });
  await tell(store.prisma, id);
}

/**
 * Cancels an evaluation that is not over; its worker learns of it within a second or so.
 *
 * @throws EspalierError EVALUATION_NOT_FOUND; EVALUATION_NOT_CANCELLABLE if it is over
 */
export async function cancelEvaluation(store: Store, id: string): Promise<EvaluationRecord> {
  const { id: known } = await getEvaluation(store.prisma, id);
  const { count } = await store.prisma.evaluation.updateMany({
    where: { id: known, status: { in: ["QUEUED", "RUNNING"] } },
    data: { status: "CANCELLED", finishedAt: new Date() },
  });
  const evaluation = await getEvaluation(store.prisma, known);
  if (count === 0) {
    const { status } = evaluation;
    throw new EspalierError("EVALUATION_NOT_CANCELLABLE", `the evaluation is over: it is ${status}`, { id, status });
  }
  await tell(store.prisma, known);
  return evaluation;
}

/** An evaluation as it is now, and again whenever it has changed, until it is over or the signal aborts. */
export async function* followEvaluation(store: Store, id: string, signal: AbortSignal): AsyncGenerator<EvaluationRecord, void> {
  // Watched before the first look: what changes after the look, the watch tells of.
  const watch = store.listener.watch(id.toLowerCase());
  try {
    for (let seen = ""; !signal.aborted; await watch.wait(signal)) {
      const evaluation = await findEvaluation(store.prisma, id);
      if (!evaluation) return;
      const state = `${evaluation.status} ${evaluation.attempt} ${evaluation.progressDone}`;
      if (state !== seen) yield evaluation;
      seen = state;
      if (evaluation.finishedAt) return;
    }
  } finally {
    watch.close();
  }
}

/** A hint to whoever watches: evaluations' ids are as unlike each other and runs' as runs' are, and share their channel. */
const tell = notify;
