import { Prisma } from "../generated/prisma/client.ts";
import type { ScoreTable } from "../pruning/events.ts";
import type { StructureId, StructureKind } from "../structures/structure.ts";
import { badCursor, type Page, type PageRequest, pageOf } from "./page.ts";
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

/** Stores an iteration's scores, a row a kind. To be called in the transaction that stores the iteration. */
export async function insertScores(tx: Database, runId: string, iteration: number, tables: readonly ScoreTable[]): Promise<void> {
  for (const { kind, indexes, scores } of tables) {
    // In SQL, because Prisma's own insert rounds the numbers of a list to 16 digits.
    await tx.$executeRaw`
      INSERT INTO "StructureScores" ("runId", iteration, kind, indexes, scores)
      VALUES (${runId}::uuid, ${iteration}, ${kind}, ${[...indexes]}::int4[], ${[...scores]}::float8[])`;
  }
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
 * A page of the scores of a run.
 *
 * @throws EspalierError BAD_CURSOR
 */
export async function listScores(
  db: Database,
  runId: string,
  { first, after }: PageRequest,
  order: ScoreOrder = "POSITION",
  { iterations, kinds }: ScoreFilter = {},
): Promise<Page<StructureScore>> {
  const { columns, descending } = orders[order];
  const conditions = [Prisma.sql`s."runId" = ${runId}::uuid`];
  if (iterations) conditions.push(Prisma.sql`s.iteration = ANY(${[...iterations]}::int4[])`);
  if (kinds) conditions.push(Prisma.sql`s.kind = ANY(${[...kinds]}::text[])`);
  if (after != null) {
    const values = readCursor(after, order).map((value, i) => Prisma.sql`${value}::${Prisma.raw(types[columns[i] ?? "index"])}`);
    const comparison = Prisma.raw(`(${columns.map((c) => `"${c}"`)}) ${descending ? "<" : ">"}`);
    conditions.push(Prisma.sql`${comparison} (${Prisma.join(values)})`);
  }
  if (!isId(runId)) return pageOf([], first);
  const sorting = Prisma.raw(columns.map((c) => `"${c}" ${descending ? "DESC" : "ASC"}`).join(", "));
  const rows = await db.$queryRaw<StructureScore[]>`
    SELECT s.iteration, s.kind, u.index, u.score
    FROM "StructureScores" s CROSS JOIN LATERAL unnest(s.indexes, s.scores) AS u(index, score)
    WHERE ${Prisma.join(conditions, " AND ")}
    ORDER BY ${sorting} LIMIT ${first + 1}::int`;
  return pageOf(rows, first);
}
