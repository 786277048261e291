import { Prisma } from "../generated/prisma/client.ts";
import { smallest } from "../large-lists.ts";
import { numberAt } from "../number-at.ts";
import type { StructureGroup, StructureId, StructureKind } from "../structures/structure.ts";
import { structuresOfModels } from "./references.ts";
import type { Database } from "./store.ts";

/** The structures of one kind in one layer, in cells of neighbours: the first cell holds those of the lowest positions. */
export interface StructureMapRow {
  readonly layer: number;
  readonly index: number;
  readonly count: number;
  /** Structures of a cell; the last one may hold fewer. */
  readonly cellSize: number;
  /** Mean of the scores of each cell's structures; null where none has one. */
  readonly scores: readonly (number | null)[];
  readonly lowestScores: readonly (number | null)[];
  /** Structures of each cell that are gone after the iteration. */
  readonly gone: readonly number[];
  /** The iteration in which the first of each cell went; null where none is gone. */
  readonly goneSince: readonly (number | null)[];
}

export interface StructureMap {
  readonly kind: StructureKind;
  /** Null if no iteration is done. */
  readonly iteration: number | null;
  readonly rows: readonly StructureMapRow[];
}

export interface StructureMapRequest {
  readonly kind: StructureKind;
  /** The newest, if it is null. */
  readonly iteration: number | null;
  /** Of each layer, at most. */
  readonly cells: number;
}

/** What goes with the removal of what. */
const holders: Readonly<Record<StructureKind, readonly StructureKind[]>> = {
  LAYER: [],
  ATTENTION: ["LAYER"],
  MLP: ["LAYER"],
  EXPERT: ["LAYER", "MLP"],
  HEAD: ["LAYER", "ATTENTION"],
  CHANNEL: ["LAYER", "MLP", "EXPERT"],
};

/**
 * The scores of one iteration as cells of neighbouring structures, and how many of each are gone after it. The database reads the
 * scores; what leaves it grows with the cells, not with the structures.
 *
 * @returns null if there is no such iteration
 */
export async function structureMap(
  db: Database,
  run: { readonly id: string; readonly modelId: string },
  { kind, iteration: asked, cells }: StructureMapRequest,
): Promise<StructureMap | null> {
  const wanted = asked === null ? {} : { index: asked };
  const newest = await db.iteration.findFirst({ where: { runId: run.id, ...wanted }, orderBy: { index: "desc" }, select: { index: true } });
  if (!newest && asked !== null) return null;
  const iteration = newest?.index ?? null;
  const [structures = []] = await structuresOfModels(db, [run.modelId]);
  const groups = structures.filter((group) => group.kind === kind);
  const layout = groups.map((group) => {
    const cellSize = Math.ceil(group.count / cells);
    return { group, cellSize, cells: Math.ceil(group.count / cellSize) };
  });
  const starts = layout.flatMap(({ group, cellSize, cells: many }) => Array.from({ length: many }, (_, i) => group.index + i * cellSize));
  const scored = iteration === null || starts.length === 0 ? [] : await scoresByCell(db, run.id, kind, iteration, starts);
  const removed = iteration === null || starts.length === 0 ? [] : await removedByCell(db, run.id, kind, iteration, starts);
  const [scoresAt, removedAt] = [new Map(scored.map((cell) => [cell.cell, cell])), new Map(removed.map((cell) => [cell.cell, cell]))];
  const wholeSince =
    iteration === null ? new Map<StructureGroup, number>() : await goneWithHolders(db, run.id, kind, iteration, structures);

  let next = 0;
  const rows = layout.map(({ group, cellSize, cells: many }) => {
    const { layer, index, count } = group;
    const places = Array.from({ length: many }, () => next++);
    const sizes = places.map((_, i) => Math.min(cellSize, count - i * cellSize));
    const whole = wholeSince.get(group);
    return {
      layer,
      index,
      count,
      cellSize,
      scores: places.map((cell) => scoresAt.get(cell)?.mean ?? null),
      lowestScores: places.map((cell) => scoresAt.get(cell)?.lowest ?? null),
      gone: places.map((cell, i) =>
        whole === undefined ? Math.min(numberAt(sizes, i), removedAt.get(cell)?.gone ?? 0) : numberAt(sizes, i),
      ),
      goneSince: places.map((cell) => {
        const since = Math.min(whole ?? Number.POSITIVE_INFINITY, removedAt.get(cell)?.since ?? Number.POSITIVE_INFINITY);
        return Number.isFinite(since) ? since : null;
      }),
    };
  });
  return { kind, iteration, rows };
}

/** Cells are told apart by the position of their first structure; what is no number has no part in them. */
function scoresByCell(db: Database, runId: string, kind: StructureKind, iteration: number, starts: readonly number[]) {
  return db.$queryRaw<{ cell: number; mean: number | null; lowest: number | null }[]>`
    SELECT width_bucket(u.index::float8, ${[...starts]}::float8[]) - 1 AS cell, avg(u.score) AS mean, min(u.score) AS lowest
    FROM "StructureScores" s CROSS JOIN LATERAL unnest(s.indexes, s.scores) AS u(index, score)
    WHERE s."runId" = ${runId}::uuid AND s.iteration = ${iteration}::int AND s.kind = ${kind} AND u.score <> 'NaN'::float8
    GROUP BY cell`;
}

const removals = (runId: string, iteration: number): Prisma.Sql => Prisma.sql`
  (SELECT r->>'kind' AS kind, (r->>'index')::int AS index, i.index AS iteration FROM "Iteration" i CROSS JOIN LATERAL jsonb_array_elements(i.removed) AS r
   WHERE i."runId" = ${runId}::uuid AND i.index <= ${iteration}::int) removal`;

function removedByCell(db: Database, runId: string, kind: StructureKind, iteration: number, starts: readonly number[]) {
  return db.$queryRaw<{ cell: number; gone: number; since: number }[]>`
    SELECT width_bucket(index::float8, ${[...starts]}::float8[]) - 1 AS cell, count(DISTINCT index)::int AS gone, min(iteration)::int AS since
    FROM ${removals(runId, iteration)} WHERE kind = ${kind} GROUP BY cell`;
}

/** The groups of a kind that went with what held them, and in which iteration: with their layer, the branch whose weights are theirs, or their expert. */
async function goneWithHolders(
  db: Database,
  runId: string,
  kind: StructureKind,
  iteration: number,
  structures: readonly StructureGroup[],
): Promise<Map<StructureGroup, number>> {
  const kinds = holders[kind];
  if (kinds.length === 0) return new Map();
  const gone = await db.$queryRaw<(StructureId & { since: number })[]>`
    SELECT kind, index, min(iteration)::int AS since FROM ${removals(runId, iteration)} WHERE kind = ANY(${[...kinds]}::text[])
    GROUP BY kind, index`;
  const wholes = structures.filter((group) => group.kind !== "EXPERT");
  const goneHolders = wholes.flatMap((holder) => {
    const since = gone.find((each) => each.kind === holder.kind && each.index === holder.index)?.since;
    return since === undefined ? [] : [{ holder, since }];
  });
  const holds = (holder: StructureGroup, group: StructureGroup) =>
    holder.layer === group.layer &&
    (holder.kind === "LAYER" || group.parameters.some((parameter) => holder.parameters.includes(parameter)));
  const own = structures.filter((group) => group.kind === kind);
  const goneExperts = new Map(gone.filter((each) => each.kind === "EXPERT").map((each) => [each.index, each.since]));
  return new Map(
    own.flatMap((group) => {
      const withExpert = goneExperts.get(group.expert ?? -1) ?? [];
      const since = goneHolders
        .filter(({ holder }) => holds(holder, group))
        .map((each) => each.since)
        .concat(withExpert);
      return since.length > 0 ? [[group, smallest(since)] as const] : [];
    }),
  );
}
