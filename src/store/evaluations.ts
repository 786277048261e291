import { createHash } from "node:crypto";
import { EspalierError } from "../errors.ts";
import type { EvaluationProgress, EvaluationResult, EvaluationSettings } from "../evaluation/evaluate.ts";
import type { DatasetRecord } from "./datasets.ts";
import { appendEvent } from "./events.ts";
import { holdModel } from "./models.ts";
import { type RunClaim, succeedRun, whileClaimed } from "./run-progress.ts";
import { type Enqueue, endByRequest, findRun, insertRun, type RunRecord, toRunRecord } from "./runs.ts";
import type { Database, Store } from "./store.ts";

export type EvaluationRecord = RunRecord<"EVALUATION">;

export interface NewEvaluation {
  readonly modelId: string;
  readonly dataset: DatasetRecord;
  readonly settings: EvaluationSettings;
  /** Share of the dataset that the model was pruned with. */
  readonly overlapRatio: number;
}

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
  enqueue: Enqueue,
): Promise<EvaluationRecord> {
  return store.prisma.$transaction(async (tx) => {
    const { id } = await holdModel(tx, modelId);
    const tokenizer = await tx.modelFile.findFirst({ where: { modelId: id, path: "tokenizer.json" } });
    const comparisonKey = comparisonKeyOf(dataset, settings, tokenizer?.sha256 ?? "");
    const asked = { kind: "EVALUATION" as const, modelId: id, datasetId: dataset.id, options: settings, comparisonKey, overlapRatio };
    const evaluation = await insertRun(tx, asked);
    await enqueue(tx, evaluation);
    return evaluation;
  });
}

/** Null where there is none. */
export const findEvaluation = (db: Database, id: string): Promise<EvaluationRecord | null> => findRun(db, id, "EVALUATION");

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
    FROM "Run" e JOIN "Model" m ON m.id = e."modelId"
    JOIN "Run" p ON p."modelId" = m."parentId" AND p."comparisonKey" = e."comparisonKey" AND p.status = 'SUCCEEDED'
    WHERE e.id = ANY(${[...ids]}::uuid[]) ORDER BY e.id, p.id DESC`;
  const rows = await db.run.findMany({ where: { id: { in: found.map((f) => f.other) } } });
  const byId = new Map(rows.map((row) => [row.id, toRunRecord<"EVALUATION">(row)]));
  const others = new Map(found.map((f) => [f.id, byId.get(f.other)]));
  return ids.map((id) => others.get(id) ?? null);
}

/** Notes, in the transaction that gives it to a worker, that an evaluation begins: from its beginning, whoever had it before. */
export async function beginEvaluation(tx: Database, { id, attempt }: RunClaim): Promise<void> {
  await tx.run.update({ where: { id }, data: { startedAt: new Date(), progress: 0 } });
  await appendEvent(tx, id, "STARTED", { attempt });
}

/** @throws EspalierError RUN_LOST if the claim stands no more */
export function recordEvaluationProgress(store: Store, claim: RunClaim, { done, total }: EvaluationProgress): Promise<void> {
  const { id } = claim;
  const progress = done / (total || 1);
  return whileClaimed(store, claim, async (tx) => {
    await tx.run.update({ where: { id }, data: { progress } });
    await appendEvent(tx, id, "PROGRESS", { progress });
  });
}

/** @throws EspalierError RUN_LOST if the claim stands no more */
export const recordEvaluation = (store: Store, claim: RunClaim, result: EvaluationResult): Promise<void> =>
  succeedRun(store, claim, async () => ({
    columns: { result: { ...result }, executionProvider: result.executionProvider },
    event: {},
  }));

/**
 * Cancels an evaluation that is not over; its worker learns of it within a second or so.
 *
 * @throws EspalierError EVALUATION_NOT_FOUND; EVALUATION_NOT_CANCELLABLE if it is over
 */
export async function cancelEvaluation(store: Store, id: string): Promise<EvaluationRecord> {
  const { id: known } = await getEvaluation(store.prisma, id);
  const {
    run: { status },
    ended,
  } = await endByRequest(store, known);
  if (!ended) throw new EspalierError("EVALUATION_NOT_CANCELLABLE", `the evaluation is over: it is ${status}`, { id, status });
  return getEvaluation(store.prisma, known);
}

/** An evaluation as it is now, and again whenever it has changed, until it is over or the signal aborts. */
export async function* followEvaluation(store: Store, id: string, signal: AbortSignal): AsyncGenerator<EvaluationRecord, void> {
  // Watched before the first look: what changes after the look, the watch tells of.
  const watch = store.listener.watch(id.toLowerCase());
  try {
    for (let seen = ""; !signal.aborted; await watch.wait(signal)) {
      const evaluation = await findEvaluation(store.prisma, id);
      if (!evaluation) return;
      const state = `${evaluation.status} ${evaluation.attempt} ${evaluation.progress}`;
      if (state !== seen) yield evaluation;
      seen = state;
      if (evaluation.finishedAt) return;
    }
  } finally {
    watch.close();
  }
}
