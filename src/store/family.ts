import type { EvaluationResult } from "../evaluation/evaluate.ts";
import type { Prisma } from "../generated/prisma/client.ts";
import { type Listing, listRows, oldestFirst, type PageRequest } from "./page.ts";
import { type DatabaseRecord, isId, toRecord } from "./record.ts";
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
    readonly scheme: string | null;
  } | null;
  /** Of each way of measuring the newest, the newest first. */
  readonly measures: readonly FamilyMeasure[];
}

/** What is read of a model itself. */
const columns = { id: true, name: true, parentId: true, parameterCount: true, sizeBytes: true, tags: true, createdAt: true } as const;
type Row = Prisma.ModelGetPayload<{ select: typeof columns }>;
type OriginRow = FamilyMember["producedBy"] & { readonly resultModelId: string };

interface MeasureRow extends Omit<FamilyMeasure, FamilyQuantity> {
  readonly modelId: string;
  readonly result: Partial<Record<FamilyQuantity, number | null>>;
}

/**
 * Models with what a picture of them all shows, the oldest first: three statements a page, however many there are.
 *
 * @param ids only these; all if it is null
 * @throws EspalierError BAD_CURSOR
 */
export async function listFamily(db: Database, page: PageRequest, ids: readonly string[] | null): Promise<Listing<FamilyMember>> {
  const { model } = db;
  const table = {
    findMany: (query: object) => model.findMany({ ...query, select: columns }),
    count: (query: object) => model.count(query),
  };
  const among = ids === null ? {} : { id: { in: ids.filter(isId) } };
  const { items, ...rest } = await listRows<Row, DatabaseRecord<Row>>(table, among, page, oldestFirst, toRecord);
  const found = items.map(({ id }) => id);
  const [origins, measures] = await Promise.all([originsOf(db, found), measuresOf(db, found)]);
  return {
    ...rest,
    items: items.map(({ id, ...member }) => ({
      ...{ modelId: id, ...member },
      producedBy: origins.get(id) ?? null,
      measures: measures.get(id) ?? [],
    })),
  };
}

/** The runs that models are the results of, the first where several imported the same. */
async function originsOf(db: Database, modelIds: readonly string[]): Promise<Map<string, FamilyMember["producedBy"]>> {
  const rows = await db.$queryRaw<OriginRow[]>`
    SELECT DISTINCT ON ("resultModelId") "resultModelId", id AS "runId", kind, method,
      CASE WHEN kind = 'PRUNING' THEN "removedRatio" END AS "removedRatio",
      CASE WHEN kind = 'COMPRESSION' THEN options->>'scheme' END AS scheme
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
