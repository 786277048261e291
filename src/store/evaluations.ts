import { EspalierError } from "../errors.ts";
import type { EvaluationOptions, EvaluationResult } from "../evaluation/evaluate.ts";
import type { Evaluation, Prisma } from "../generated/prisma/client.ts";
import type { DatasetRequest } from "../text/datasets.ts";
import { getModel } from "./models.ts";
import { type DatabaseRecord, isId, toRecord } from "./record.ts";
import type { FailureRecord } from "./runs.ts";
import type { Database, Store } from "./store.ts";

/** With the dataset's digest, what makes two evaluations comparable. */
export type EvaluationSettings = Pick<EvaluationOptions, "sequenceLength" | "maxTokens" | "executionProvider">;

export type EvaluationRecord = DatabaseRecord<
  Evaluation,
  {
    readonly dataset: DatasetRequest;
    readonly settings: EvaluationSettings;
    readonly result: EvaluationResult | null;
    readonly error: FailureRecord | null;
  }
>;

export interface NewEvaluation {
  readonly modelId: string;
  readonly dataset: DatasetRequest;
  readonly settings: EvaluationSettings;
}

/**
 * Stores a new evaluation, QUEUED.
 *
 * @param enqueue puts its job into the queue, in the same transaction
 * @throws EspalierError MODEL_NOT_FOUND
 */
export function createEvaluation(
  store: Store,
  { modelId, dataset, settings }: NewEvaluation,
  enqueue: (tx: Database, evaluationId: string) => Promise<void>,
): Promise<EvaluationRecord> {
  return store.prisma.$transaction(async (tx) => {
    const { id } = await getModel(tx, modelId);
    const json = { dataset, settings: { ...settings } } as unknown as Record<"dataset" | "settings", Prisma.InputJsonObject>;
    const row = await tx.evaluation.create({ data: { modelId: id, ...json } });
    await enqueue(tx, row.id);
    return toRecord(row);
  });
}

/** Null where there is none. */
export async function findEvaluation(db: Database, id: string): Promise<EvaluationRecord | null> {
  const row = isId(id) ? await db.evaluation.findUnique({ where: { id } }) : null;
  return row && toRecord(row);
}

/** Takes an evaluation up, for the first time or after a worker that was lost. Null if it is over or gone. */
export async function claimEvaluation(store: Store, id: string): Promise<EvaluationRecord | null> {
  const { count } = await store.prisma.evaluation.updateMany({
    where: { id, status: { in: ["QUEUED", "RUNNING"] } },
    data: { status: "RUNNING", startedAt: new Date(), attempt: { increment: 1 } },
  });
  return count > 0 ? findEvaluation(store.prisma, id) : null;
}

/** @throws EspalierError EVALUATION_LOST if another worker has taken it up */
export async function recordEvaluation(store: Store, { id, attempt }: EvaluationRecord, result: EvaluationResult): Promise<void> {
  const { count } = await store.prisma.evaluation.updateMany({
    where: { id, attempt, status: "RUNNING" },
    data: { status: "SUCCEEDED", datasetDigest: result.datasetDigest, result: { ...result }, finishedAt: new Date() },
  });
  if (count === 0) throw new EspalierError("EVALUATION_LOST", `another worker has the evaluation ${id}`, { id });
}

/** Records failure, whoever holds the evaluation; nothing if it is over. */
export async function recordEvaluationFailure(store: Store, id: string, { code, message }: FailureRecord): Promise<void> {
  await store.prisma.evaluation.updateMany({
    where: { id, status: { in: ["QUEUED", "RUNNING"] } },
    data: { status: "FAILED", error: { code, message }, finishedAt: new Date() },
  });
}
