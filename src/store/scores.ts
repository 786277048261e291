import { Prisma } from "../generated/prisma/client.ts";
import type { ScoreTable } from "../pruning/events.ts";
import type { StructureId, StructureKind } from "../structures/structure.ts";
import { badCursor, mostCounted, type Page, type PageRequest, pageOf, walkOf } from "./page.ts";
import { isId } from "./record.ts";
import type { Database } from "./store.ts";

export interface StructureScore extends StructureId {
  readonly iteration: number;
  readonly score: number;
}

export interface ScoreFilter {
  readonly iterations?: readonly number[];
  readonly kinds?: readonly StructureKind[];
}

/** How scores can be ordered: the columns that order them, so that no two rows are equal, and the direction of all. */
const orders = {
  POSITION: { columns: ["iteration", "kind", "index"], descending: false },
  SCORE_ASCENDING: { columns: ["score", "iteration", "kind", "index"], descending: false },
  SCORE_DESCENDING: { columns: ["score", "iteration", "kind", "index"], descending: true },
} as const satisfies Record<string, { columns: readonly (keyof StructureScore)[]; descending: boolean }>;
export type ScoreOrder = keyof typeof orders;

const types = { iteration: "int4", kind: "text", index: "int4", score: "float8" } as const;

/** Scores of one array: with these, a row lies whole in its page of the table, so that reading one costs nothing else. */
const chunkSize = 128;

/** Stores an iteration's scores, by position and by score. To be called in the transaction that stores the iteration. */
export async function insertScores(tx: Database, runId: string, iteration: number, tables: readonly ScoreTable[]): Promise<void> {
  for (const { kind, indexes, scores } of tables) {
    // In SQL, because Prisma's own insert rounds the numbers of a list to 16 digits.
    const numbers = Prisma.sql`unnest(${[...indexes]}::int4[], ${[...scores]}::float8[]) AS u(index, score)`;
    await tx.$executeRaw`
      INSERT INTO "StructureScores" ("runId", iteration, kind, "lastIndex", indexes, scores)
      SELECT ${runId}::uuid, ${iteration}::int, ${kind}, max(index), array_agg(index ORDER BY index), array_agg(score ORDER BY index)
      FROM (SELECT *, (row_number() OVER (ORDER BY index) - 1) / ${chunkSize}::int AS chunk FROM ${numbers}) s GROUP BY chunk`;
    await tx.$executeRaw`
      INSERT INTO "RankedScores" ("runId", iteration, kind, chunk, "firstScore", "firstIndex", "lastScore", "lastIndex", indexes, scores)
      SELECT ${runId}::uuid, ${iteration}::int, ${kind}, chunk, scores[1], indexes[1], scores[cardinality(scores)], indexes[cardinality(scores)],
        indexes, scores
      FROM (
        SELECT chunk, array_agg(index ORDER BY score, index) AS indexes, array_agg(score ORDER BY score, index) AS scores
        FROM (SELECT *, (row_number() OVER (ORDER BY score, index) - 1) / ${chunkSize}::int AS chunk FROM ${numbers}) s GROUP BY chunk
      ) c`;
  }
}

/** Gives a run the scores that another had in its first iterations. */
export async function copyScores(tx: Database, fromRunId: string, runId: string, iterations: number): Promise<void> {
  await tx.$executeRaw`
    INSERT INTO "StructureScores" ("runId", iteration, kind, "lastIndex", indexes, scores)
    SELECT ${runId}::uuid, iteration, kind, "lastIndex", indexes, scores FROM "StructureScores"
    WHERE "runId" = ${fromRunId}::uuid AND iteration < ${iterations}::int`;
  await tx.$executeRaw`
    INSERT INTO "RankedScores" ("runId", iteration, kind, chunk, "firstScore", "firstIndex", "lastScore", "lastIndex", indexes, scores)
    SELECT ${runId}::uuid, iteration, kind, chunk, "firstScore", "firstIndex", "lastScore", "lastIndex", indexes, scores FROM "RankedScores"
    WHERE "runId" = ${fromRunId}::uuid AND iteration < ${iterations}::int`;
}

/** A score's place in an order, as a client keeps it. */
export function scoreCursor(score: StructureScore, order: ScoreOrder): string {
  return Buffer.from(JSON.stringify(orders[order].columns.map((column) => score[column]))).toString("base64url");
}

/** @throws EspalierError BAD_CURSOR */
function readCursor(cursor: string, order: ScoreOrder): readonly (string | number)[] {
  const { columns } = orders[order];
  try {
    const values: unknown[] = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const fits = columns.map((column, i) => typeof values[i] === (column === "kind" ? "string" : "number"));
    if (values.length === columns.length && fits.every(Boolean)) return values as (string | number)[];
  } catch {
    // Not even JSON: a bad cursor all the same.
  }
  throw badCursor(cursor);
}

/**
 * Arrays of one run, `r`, that hold the scores of a page in order of position: those beyond the cursor, until there are enough. Of
 * them the first may hold what lies on this side of it too.
 */
function byPosition(filter: Prisma.Sql, cursor: Prisma.Sql | null, first: number, descending: boolean): Prisma.Sql {
  const place = Prisma.sql`(iteration, kind, "lastIndex")`;
  const direction = Prisma.raw(descending ? "DESC" : "ASC");
  const ordered = Prisma.sql`iteration ${direction}, kind ${direction}, "lastIndex" ${direction}`;
  // Where the places descend, the array that holds the cursor is the first whose last place is not before it.
  const holder = Prisma.sql`
    SELECT iteration, kind, "lastIndex" FROM "StructureScores" WHERE "runId" = r.id AND ${place} >= (${cursor}) ORDER BY ${place} LIMIT 1`;
  const upTo = Prisma.sql`(${place} <= (${holder}) OR NOT EXISTS (${holder}))`;
  const rest = cursor === null ? Prisma.empty : Prisma.sql`AND ${descending ? upTo : Prisma.sql`${place} > (${cursor})`}`;
  // An array holds one score at least, and of the first perhaps none is wanted.
  return Prisma.sql`
    SELECT iteration, kind, indexes, scores FROM (
      SELECT *, sum(cardinality(indexes)) OVER (ORDER BY ${ordered}) - cardinality(indexes) AS before FROM (
        SELECT * FROM "StructureScores" WHERE "runId" = r.id ${filter} ${rest}
        ORDER BY ${ordered} LIMIT ${first + 2}::int
      ) following
    ) counted WHERE before <= ${first + chunkSize}::int`;
}

/**
 * The same in order of score: of each iteration and kind so many arrays after the cursor as hold the whole page, and the score
 * after it. The first of them holds one score at least, and all but the last of a kind are full.
 */
function byScore(filter: Prisma.Sql, cursor: Prisma.Sql | null, score: unknown, first: number, descending: boolean): Prisma.Sql {
  const end = Prisma.raw(descending ? "first" : "last");
  const beyond = Prisma.raw(descending ? "<" : ">");
  const column = (name: string) => Prisma.sql`c."${end}${Prisma.raw(name)}"`;
  const after = cursor
    ? Prisma.sql`AND ${column("Score")} ${beyond}= ${score}::float8
        AND (${column("Score")}, c.iteration, c.kind, ${column("Index")}) ${beyond} (${cursor})`
    : Prisma.empty;
  const direction = Prisma.raw(descending ? "DESC" : "ASC");
  return Prisma.sql`
    SELECT g.iteration, g.kind, c.indexes, c.scores
    FROM (SELECT iteration, kind FROM "RankedScores" WHERE "runId" = r.id AND chunk = 0 ${filter}) g CROSS JOIN LATERAL (
      SELECT indexes, scores FROM "RankedScores" c
      WHERE c."runId" = r.id AND c.iteration = g.iteration AND c.kind = g.kind ${after}
      ORDER BY ${column("Score")} ${direction}, ${column("Index")} ${direction} LIMIT ${1 + Math.ceil(first / chunkSize)}::int
    ) c`;
}

/**
 * For each of many runs the same page of its scores.
 *
 * @throws EspalierError BAD_CURSOR
 */
export async function listScores(
  db: Database,
  runIds: readonly string[],
  request: PageRequest,
  order: ScoreOrder = "POSITION",
  filter: ScoreFilter = {},
): Promise<Page<StructureScore>[]> {
  const { columns, ...ordered } = orders[order];
  const { size, cursor: from, backward } = walkOf(request);
  const descending = ordered.descending !== backward;
  const values = from === null ? null : readCursor(from, order);
  const cursor = values && Prisma.join(values.map((value, i) => Prisma.sql`${value}::${Prisma.raw(types[columns[i] ?? "index"])}`));
  const wanted = wantedScores(filter);
  const sorted = columns.map((column) => (column === "index" || column === "score" ? `u.${column}` : `a.${column}`));
  const sorting = Prisma.raw(sorted.map((column) => `${column} ${descending ? "DESC" : "ASC"}`).join(", "));
  const rest = cursor
    ? Prisma.sql`WHERE (${Prisma.raw(sorted.join(", "))}) ${Prisma.raw(descending ? "<" : ">")} (${cursor})`
    : Prisma.empty;
  const arrays =
    order === "POSITION" ? byPosition(wanted, cursor, size, descending) : byScore(wanted, cursor, values?.[0], size, descending);
  const rows = await db.$queryRaw<(StructureScore & { runId: string })[]>`
    SELECT r.id AS "runId", page.* FROM unnest(${[...new Set(runIds.filter(isId))]}::uuid[]) AS r(id) CROSS JOIN LATERAL (
      SELECT a.iteration, a.kind, u.index, u.score
      FROM (${arrays}) a CROSS JOIN LATERAL unnest(a.indexes, a.scores) AS u(index, score)
      ${rest} ORDER BY ${sorting} LIMIT ${size + 1}::int
    ) page`;
  const byRun = new Map<string, StructureScore[]>();
  for (const { runId, ...score } of rows) {
    const list = byRun.get(runId) ?? [];
    list.push(score);
    byRun.set(runId, list);
  }
  return runIds.map((id) => pageOf(byRun.get(id.toLowerCase()) ?? [], request));
}

const wantedScores = ({ iterations, kinds }: ScoreFilter): Prisma.Sql => Prisma.sql`
    ${iterations ? Prisma.sql`AND iteration = ANY(${[...iterations]}::int4[])` : Prisma.empty}
    ${kinds ? Prisma.sql`AND kind = ANY(${[...kinds]}::text[])` : Prisma.empty}`;

/** How many scores each of many runs has, counted in as many arrays as records are counted elsewhere. */
export async function totalScores(db: Database, runIds: readonly string[], filter: ScoreFilter = {}): Promise<number[]> {
  const rows = await db.$queryRaw<{ runId: string; total: bigint }[]>`
    SELECT r.id AS "runId", (
      SELECT coalesce(sum(size), 0)::bigint FROM (
        SELECT cardinality(indexes) AS size FROM "StructureScores" WHERE "runId" = r.id ${wantedScores(filter)} LIMIT ${mostCounted}::int
      ) counted
    ) AS total
    FROM unnest(${[...new Set(runIds.filter(isId))]}::uuid[]) AS r(id)`;
  const totals = new Map(rows.map(({ runId, total }) => [runId, Number(total)]));
  return runIds.map((id) => totals.get(id.toLowerCase()) ?? 0);
}
