import type { ModelFile } from "../artifacts/model-files.ts";
import type { Iteration } from "../generated/prisma/client.ts";
import { Prisma } from "../generated/prisma/client.ts";
import type { StructureGroup, StructureKind } from "../structures/structure.ts";
import type { EvaluationRecord } from "./evaluations.ts";
import type { ModelRecord } from "./models.ts";
import { type ListOrder, mostCounted, type Page, type PageRequest, pageOf, placeOf, type Walk, walkOf, waysOf } from "./page.ts";
import type { IterationRow, PruningRunRecord } from "./pruning-runs.ts";
import { inOrder, isId, toRecord } from "./record.ts";
import { removedAtOnce } from "./removed.ts";
import { type RunKind, type RunRecord, toRunRecord } from "./runs.ts";
import type { Database } from "./store.ts";

// What many records refer to, in one query for all of them: answers come in the order of the ids asked for.

function grouped<Row, Item>(
  keys: readonly string[],
  rows: readonly Row[],
  keyOf: (row: Row) => string,
  itemOf: (row: Row) => Item,
): Item[][] {
  const byKey = new Map<string, Item[]>(keys.map((key) => [key, []]));
  for (const row of rows) byKey.get(keyOf(row))?.push(itemOf(row));
  return keys.map((key) => byKey.get(key) ?? []);
}

/** Runs by id; null where there is none. */
export async function findRuns(db: Database, ids: readonly string[]): Promise<(RunRecord | null)[]> {
  const rows = await db.run.findMany({ where: { id: { in: ids.filter(isId) } } });
  return inOrder(
    rows.map((row): RunRecord => toRunRecord(row)),
    ids,
  );
}

/** The runs that models are the results of, the first where several imported the same; null where there is none. */
export async function findProducingRuns(db: Database, modelIds: readonly string[]): Promise<(RunRecord | null)[]> {
  const rows = await db.run.findMany({ where: { resultModelId: { in: [...modelIds] } }, orderBy: { id: "desc" } });
  const byModel = new Map(rows.map((row) => [row.resultModelId, toRunRecord(row)]));
  return modelIds.map((id) => byModel.get(id) ?? null);
}

/** Models' files, by path. */
export async function filesOfModels(db: Database, modelIds: readonly string[]): Promise<ModelFile[][]> {
  const where = { modelId: { in: [...modelIds] } };
  const rows = await db.modelFile.findMany({ where, orderBy: { path: "asc" }, include: { artifact: true } });
  const file = (row: (typeof rows)[number]) => ({ path: row.path, sha256: row.sha256, sizeBytes: Number(row.artifact.sizeBytes) });
  return grouped(modelIds, rows, (row) => row.modelId, file);
}

/** Models' structures, by kind and position. */
export async function structuresOfModels(db: Database, modelIds: readonly string[]): Promise<StructureGroup[][]> {
  const where = { modelId: { in: [...modelIds] } };
  const rows = await db.structure.findMany({ where, orderBy: [{ kind: "asc" }, { index: "asc" }] });
  return grouped(
    modelIds,
    rows,
    (row) => row.modelId,
    (row) => toRecord<typeof row, { kind: StructureKind }>(row),
  );
}

/** Runs' iterations, in order. */
export async function iterationsOfRuns(db: Database, runIds: readonly string[]): Promise<IterationRow[][]> {
  const rows = await db.iteration.findMany({ where: { runId: { in: [...runIds] } }, orderBy: { index: "asc" } });
  return grouped(
    runIds,
    rows,
    (row) => row.runId,
    (row) => toRecord(row),
  );
}

/** An iteration with the first of what it removed, and how many that were. */
export type IterationInShort = IterationRow & { readonly removedCount: number };

/** The same in short, as clients are told of them: what one removed may be most of a model's channels. */
export async function iterationsInShort(db: Database, runIds: readonly string[]): Promise<IterationInShort[][]> {
  const rows = await db.$queryRaw<(Iteration & { readonly removedCount: number })[]>`
    SELECT "runId", index, "parameterCount", "removedRatio", loss, "perturbedLoss", "durationMs", "createdAt", jsonb_array_length(removed) AS "removedCount",
      jsonb_path_query_array(removed, ${`$[0 to ${removedAtOnce - 1}]`}::jsonpath) AS removed
    FROM "Iteration" WHERE "runId" = ANY(${[...new Set(runIds.filter(isId))]}::uuid[]) ORDER BY "runId", index`;
  return grouped(
    runIds,
    rows,
    (row) => row.runId,
    (row) => toRecord(row) as unknown as IterationInShort,
  );
}

/** What a model has many of: the table, and which of its rows are those of the model `m`. */
const belongings = {
  children: {
    table: "Model",
    where: Prisma.sql`"parentId" = m.id`,
    records: (db, ids) => db.model.findMany({ where: { id: { in: ids } } }),
  },
  runs: { table: "Run", where: ofKind("PRUNING"), records: (db, ids) => db.run.findMany({ where: { id: { in: ids } } }) },
  evaluations: { table: "Run", where: ofKind("EVALUATION"), records: (db, ids) => db.run.findMany({ where: { id: { in: ids } } }) },
} as const satisfies Record<string, Belonging>;

function ofKind(kind: RunKind): Prisma.Sql {
  return Prisma.sql`"modelId" = m.id AND kind = ${kind}`;
}

interface Belonging {
  readonly table: string;
  readonly where: Prisma.Sql;
  readonly records: (db: Database, ids: string[]) => Promise<readonly { readonly id: string }[]>;
}

export interface Belongings {
  readonly children: ModelRecord;
  readonly runs: PruningRunRecord;
  readonly evaluations: EvaluationRecord;
}

const columnTypes = { id: "uuid", string: "text", number: "bigint" } as const satisfies Record<ListOrder["holds"], string>;

/** What lies beyond a walk's cursor, and the order in which it is read. */
function walked({ cursor, backward }: Walk, order: ListOrder): readonly [beyond: Prisma.Sql, orderBy: Prisma.Sql] {
  const [descending, newer] = waysOf(order, backward);
  const column = Prisma.raw(`"${order.column}"`);
  const [past, then] = [descending, !newer].map((down) => Prisma.raw(down ? "<" : ">"));
  const orderBy = Prisma.sql`${column} ${Prisma.raw(descending ? "DESC" : "ASC")}, id ${Prisma.raw(newer ? "ASC" : "DESC")}`;
  if (cursor === null) return [Prisma.empty, orderBy];
  const [value, id] = placeOf(cursor, order);
  const at = Prisma.sql`${String(value)}::text::${Prisma.raw(columnTypes[order.holds])}`;
  if (order.holds === "id") return [Prisma.sql`AND id ${past} ${at}`, orderBy];
  return [Prisma.sql`AND (${column} ${past} ${at} OR (${column} = ${at} AND id ${then} ${id}::uuid))`, orderBy];
}

/**
 * For each of many models the same page of what it has.
 *
 * @throws EspalierError BAD_CURSOR
 */
export async function pagesOfModels<What extends keyof Belongings>(
  db: Database,
  what: What,
  modelIds: readonly string[],
  request: PageRequest,
  order: ListOrder,
): Promise<Page<Belongings[What]>[]> {
  const walk = walkOf(request);
  const { table, where, records } = belongings[what];
  const [beyond, orderBy] = walked(walk, order);
  const rows = await db.$queryRaw<{ modelId: string; id: string }[]>`
    SELECT m.id AS "modelId", r.id
    FROM unnest(${[...new Set(modelIds)]}::uuid[]) AS m(id) CROSS JOIN LATERAL (
      SELECT id FROM ${Prisma.raw(`"${table}"`)} WHERE ${where} ${beyond} ORDER BY ${orderBy} LIMIT ${walk.size + 1}::int
    ) r`;
  const found = await records(
    db,
    rows.map((row) => row.id),
  );
  const byId = new Map(found.map((row) => [row.id, toRecord(row) as unknown as Belongings[What]]));
  const lists = grouped(
    modelIds,
    rows,
    (row) => row.modelId,
    (row) => byId.get(row.id),
  );
  return lists.map((list) =>
    pageOf(
      list.filter((item) => item !== undefined),
      request,
    ),
  );
}

/** For each of many models how much of something it has, up to `mostCounted`. */
export async function totalsOfModels(db: Database, what: keyof Belongings, modelIds: readonly string[]): Promise<number[]> {
  const { table, where } = belongings[what];
  const rows = await db.$queryRaw<{ modelId: string; total: bigint }[]>`
    SELECT m.id AS "modelId", (
      SELECT count(*) FROM (SELECT 1 FROM ${Prisma.raw(`"${table}"`)} WHERE ${where} LIMIT ${mostCounted}::int) counted
    ) AS total
    FROM unnest(${[...new Set(modelIds)]}::uuid[]) AS m(id)`;
  const totals = new Map(rows.map(({ modelId, total }) => [modelId, Number(total)]));
  return modelIds.map((id) => totals.get(id) ?? 0);
}
