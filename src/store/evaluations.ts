import { createHash } from "node:crypto";
import { EspalierError } from "../errors.ts";
import type { EvaluationResult, EvaluationSettings } from "../evaluation/evaluate.ts";
import { type DatasetRecord, getDataset } from "./datasets.ts";
import { neverAwaited, type RunClaim, succeedRun } from "./run-progress.ts";
import { type Enqueue, enqueueReady, findRun, insertRun, type RunRecord, type Subject, toRunRecord } from "./runs.ts";
import type { Database, Store } from "./store.ts";

export type EvaluationRecord = RunRecord<"EVALUATION">;

export type NewEvaluation = Subject & EvaluationRequest;

interface EvaluationRequest {
  readonly dataset: DatasetRecord;
  readonly settings: EvaluationSettings;
  /** Share of the dataset that the model was pruned, healed or compressed with. */
  readonly overlapRatio: number;
}

/** What a dataset's form leaves of the settings: the others say nothing about what is measured. */
const settingsThatCount: Readonly<Record<DatasetRecord["form"], readonly (keyof EvaluationSettings)[]>> = {
  TEXT: ["sequenceLength", "stride", "maxTokens"],
  MULTIPLE_CHOICE: ["maxItems"],
  GENERATION: ["maxItems", "maxNewTokens", "stop", "answer"],
  LABELLED: ["maxItems", "sequenceLength"],
  SCORED_PAIRS: ["maxItems", "sequenceLength"],
};

/** What has changed in how a form is measured: numbers from before compare with none from after. */
const changes: Readonly<Record<DatasetRecord["form"], readonly string[]>> = {
  TEXT: [],
  MULTIPLE_CHOICE: ["contexts begin as the tokenizer has them"],
  GENERATION: [],
  LABELLED: [],
  SCORED_PAIRS: [],
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

/** Null while it is not known what the evaluation is of, or if it never was recorded. */
async function comparisonKeyFor(tx: Database, { modelId, datasetId, options }: EvaluationRecord): Promise<string | null> {
  if (modelId === null || datasetId === null) return null;
  const tokenizer = await tx.modelFile.findFirst({ where: { modelId, path: "tokenizer.json" } });
  return comparisonKeyOf(await getDataset(tx, { id: datasetId }), options, tokenizer?.sha256 ?? "");
}

/**
 * Stores a new evaluation, QUEUED.
 *
 * @param enqueue puts its job into the queue, in the same transaction
 * @throws EspalierError what `insertRun` throws
 */
export function createEvaluation(
  store: Store,
  { dataset, settings, overlapRatio, ...subject }: NewEvaluation,
  enqueue: Enqueue,
): Promise<EvaluationRecord> {
  return store.prisma.$transaction(async (tx) => {
    const asked = { kind: "EVALUATION" as const, datasetId: dataset.id, options: settings, overlapRatio };
    const inserted = await insertRun(tx, { ...asked, ...subject });
    const comparisonKey = await comparisonKeyFor(tx, inserted);
    const evaluation = toRunRecord<"EVALUATION">(await tx.run.update({ where: { id: inserted.id }, data: { comparisonKey } }));
    await enqueueReady(tx, evaluation, enqueue);
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

/** Lines of descent are followed so far up. */
const longestLine = 100;

/**
 * Of what each evaluation's model is held against, the newest evaluation that compares with it; null where there is none. That is the nearest
 * ancestor that is larger: of a healed model the one that was pruned, for its parent is damaged alike. Where no ancestor is, it is the parent.
 */
export async function comparableOfParents(db: Database, ids: readonly string[]): Promise<(EvaluationRecord | null)[]> {
  const found = await db.$queryRaw<{ id: string; other: string }[]>`
    WITH RECURSIVE line AS (
      SELECT e.id AS evaluation, e."comparisonKey" AS key, m."parameterCount" AS own, p.id, p."parentId", p."parameterCount" AS size, 1 AS up
      FROM "Run" e JOIN "Model" m ON m.id = e."modelId" JOIN "Model" p ON p.id = m."parentId"
      WHERE e.id = ANY(${[...ids]}::uuid[])
      UNION ALL
      SELECT l.evaluation, l.key, l.own, p.id, p."parentId", p."parameterCount", l.up + 1
      FROM line l JOIN "Model" p ON p.id = l."parentId" WHERE l.size <= l.own AND l.up < ${longestLine}
    ), against AS (
      SELECT DISTINCT ON (evaluation) evaluation, key, id FROM line ORDER BY evaluation, size > own DESC, up
    )
    SELECT DISTINCT ON (a.evaluation) a.evaluation AS id, r.id AS other
    FROM against a JOIN "Run" r ON r."modelId" = a.id AND r."comparisonKey" = a.key AND r.status = 'SUCCEEDED'
    ORDER BY a.evaluation, r.id DESC`;
  const rows = await db.run.findMany({ where: { id: { in: found.map((f) => f.other) } } });
  const byId = new Map(rows.map((row) => [row.id, toRunRecord<"EVALUATION">(row)]));
  const others = new Map(found.map((f) => [f.id, byId.get(f.other)]));
  return ids.map((id) => others.get(id) ?? null);
}

/** Notes, in the transaction that gives it to a worker, by what an evaluation compares: one that waited for its model did not know. */
export async function settleComparison(tx: Database, { id }: RunClaim): Promise<void> {
  const evaluation = await getEvaluation(tx, id);
  if (evaluation.comparisonKey !== null) return;
  await tx.run.update({ where: { id }, data: { comparisonKey: await comparisonKeyFor(tx, evaluation) } });
}

/** @throws EspalierError RUN_LOST if the claim stands no more */
export const recordEvaluation = (store: Store, claim: RunClaim, result: EvaluationResult): Promise<void> =>
  succeedRun(store, claim, neverAwaited, async () => ({
    columns: { result: { ...result }, executionProvider: result.executionProvider },
    event: {},
  }));
