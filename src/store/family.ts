import type { EvaluationResult } from "../evaluation/evaluate.ts";
import { Prisma } from "../generated/prisma/client.ts";
import { badCursor, type Listing, mostCounted, type PageRequest, pageOf, walkOf } from "./page.ts";
import { isId, toRecord } from "./record.ts";
import type { RunKind } from "./runs.ts";
import type { Database } from "./store.ts";

/** What was measured of a model in one way. */
export interface FamilyMeasure extends Pick<EvaluationResult, FamilyQuantity> {
  readonly evaluationId: string;
  readonly comparisonKey: string | null;
  readonly datasetName: string | null;
}

const quantities = ["perplexity", "nextTokenAccuracy", "accuracy", "exactMatch", "decodeTokensPerSecond"] as const;
type FamilyQuantity = (typeof quantities)[number];

/** What a picture of many models shows of each. */
export interface FamilyMember {
  readonly modelId: string;
  readonly name: string;
  readonly parentId: string | null;
  readonly parameterCount: number;
  readonly sizeBytes: number;
  readonly tags: readonly string[];
  readonly createdAt: Date;
  /** How it was made; null if it was registered. */
  readonly producedBy: {
    readonly runId: string;
    readonly kind: RunKind;
    readonly method: string | null;
    readonly removedRatio: number | null;
  } | null;
  /** Of each way of measuring the newest, the newest first. */
  readonly measures: readonly FamilyMeasure[];
}

type MemberRow = Omit<FamilyMember, "producedBy" | "measures">;
type OriginRow = FamilyMember["producedBy"] & { readonly resultModelId: string };

interface MeasureRow extends Omit<FamilyMeasure, FamilyQuantity> {
  readonly modelId: string;
  readonly result: Partial<Record<FamilyQuantity, number | null>>;
}

/**
 * Models with what a picture of them all shows: three statements a page, however many there are.
 *
 * @param ids only these; all if it is null
 * @throws EspalierError BAD_CURSOR
 */
export async function listFamily(db: Database, page: PageRequest, ids: readonly string[] | null): Promise<Listing<FamilyMember>> {
  const { size, cursor, backward } = walkOf(page);
  if (cursor !== null && !isId(cursor)) throw badCursor(cursor);
  const [past, direction] = backward ? [Prisma.raw("<"), Prisma.raw("DESC")] : [Prisma.raw(">"), Prisma.raw("ASC")];
  const among = ids === null ? Prisma.empty : Prisma.sql`AND id = ANY(${ids.filter(isId)}::uuid[])`;
  const beyond = cursor === null ? Prisma.empty : Prisma.sql`AND id ${past} ${cursor}::uuid`;
  const rows = await db.$queryRaw<MemberRow[]>`
    SELECT id AS "modelId", name, "parentId", "parameterCount", "sizeBytes", tags, "createdAt" FROM "Model"
    WHERE true ${among} ${beyond} ORDER BY id ${direction} LIMIT ${size + 1}::int`;
  const { items, ...rest } = pageOf(rows, page);
  const found = items.map(({ modelId }) => modelId);
  const [origins, measures] = await Promise.all([originsOf(db, found), measuresOf(db, found)]);
  return {
    ...rest,
    items: items.map((row) => ({
      ...(toRecord(row) as MemberRow),
      producedBy: origins.get(row.modelId) ?? null,
      measures: measures.get(row.modelId) ?? [],
    })),
    cursors: found,
    total: () => db.model.count({ where: ids === null ? {} : { id: { in: ids.filter(isId) } }, take: mostCounted }),
  };
}

/** The runs that models are the results of, the first where several imported the same. */
async function originsOf(db: Database, modelIds: readonly string[]): Promise<Map<string, FamilyMember["producedBy"]>> {
  const rows = await db.$queryRaw<OriginRow[]>`
    SELECT DISTINCT ON ("resultModelId") "resultModelId", id AS "runId", kind, method,
      CASE WHEN kind = 'PRUNING' THEN "removedRatio" END AS "removedRatio"
    FROM "Run" WHERE "resultModelId" = ANY(${[...modelIds]}::uuid[]) ORDER BY "resultModelId", id`;
  return new Map(rows.map(({ resultModelId, ...run }) => [resultModelId, run]));
}

/** The newest evaluation of each model in each way that succeeded. */
async function measuresOf(db: Database, modelIds: readonly string[]): Promise<Map<string, FamilyMeasure[]>> {
  const rows = await db.$queryRaw<MeasureRow[]>`
    SELECT e.*, d.name AS "datasetName" FROM (
      SELECT DISTINCT ON ("modelId", "comparisonKey") "modelId", id AS "evaluationId", "comparisonKey", "datasetId", result
      FROM "Run" WHERE "modelId" = ANY(${[...modelIds]}::uuid[]) AND kind = 'EVALUATION' AND status = 'SUCCEEDED'
      ORDER BY "modelId", "comparisonKey", id DESC
    ) e LEFT JOIN "Dataset" d ON d.id = e."datasetId" ORDER BY e."evaluationId" DESC`;
  const byModel = new Map<string, FamilyMeasure[]>();
  for (const { modelId, evaluationId, comparisonKey, datasetName, result } of rows) {
    const found = Object.fromEntries(quantities.map((name) => [name, result?.[name] ?? null])) as Pick<FamilyMeasure, FamilyQuantity>;
    const own = byModel.get(modelId) ?? [];
    own.push({ evaluationId, comparisonKey, datasetName, ...found });
    byModel.set(modelId, own);
  }
  return byModel;
}
