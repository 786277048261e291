import type { EvaluationRecord } from "./evaluations.ts";
import { getModel, type ModelRecord } from "./models.ts";
import type { PruningRunRecord } from "./pruning-runs.ts";
import { isId } from "./record.ts";
import { toRunRecord } from "./runs.ts";
import type { Database } from "./store.ts";

/** A model and what runs made of it, side by side, with what was measured of each. */
export interface ComparisonRecord {
  readonly model: ModelRecord;
  /** The ways to measure, oldest first: of each the first evaluation. */
  readonly columns: readonly EvaluationRecord[];
  /** The model itself first, without a run; then what each run made, oldest first. */
  readonly rows: readonly {
    readonly modelId: string;
    readonly run: PruningRunRecord | null;
    /** By column the newest evaluation of it; null where there is none. */
    readonly evaluations: readonly (EvaluationRecord | null)[];
  }[];
}

/** Runs that a comparison holds at most: the newest. */
const mostRuns = 100;

/**
 * Compares what has come of a model.
 *
 * @param runIds only these of its runs; null for all that succeeded
 * @throws EspalierError MODEL_NOT_FOUND
 */
export async function compareRuns(db: Database, modelId: string, runIds: readonly string[] | null): Promise<ComparisonRecord> {
  const model = await getModel(db, modelId);
  const id = runIds === null ? undefined : { in: runIds.filter(isId) };
  const runs = await db.run.findMany({
    where: { kind: "PRUNING", modelId: model.id, resultModelId: { not: null }, id },
    orderBy: { id: "desc" },
    take: mostRuns,
  });
  const rows = [
    { modelId: model.id, run: null },
    ...runs.toReversed().map((row) => ({ modelId: row.resultModelId as string, run: toRunRecord<"PRUNING">(row) })),
  ];
  const evaluations = (
    await db.run.findMany({
      where: { kind: "EVALUATION", modelId: { in: rows.map((r) => r.modelId) }, status: "SUCCEEDED", comparisonKey: { not: null } },
      orderBy: { id: "asc" },
    })
  ).map(toRunRecord<"EVALUATION">);
  const newest = new Map(evaluations.map((e) => [`${e.modelId} ${e.comparisonKey}`, e]));
  const oldest = new Map<string | null, EvaluationRecord>();
  for (const evaluation of evaluations) if (!oldest.has(evaluation.comparisonKey)) oldest.set(evaluation.comparisonKey, evaluation);
  const columns = [...oldest.values()];
  return {
    model,
    columns,
    rows: rows.map((row) => ({ ...row, evaluations: columns.map((c) => newest.get(`${row.modelId} ${c.comparisonKey}`) ?? null) })),
  };
}
