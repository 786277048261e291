import { Prisma } from "../generated/prisma/client.ts";
import type { RemovedStructure } from "../pruning/events.ts";
import { badCursor, type Listing, mostCounted, type PageRequest, pageOf, walkOf } from "./page.ts";
import type { Database } from "./store.ts";

/** So many of what an iteration removed go with its event and its row; a page of `listRemoved` has the others. */
export const removedAtOnce = 100;

/** Parts of what an iteration has removed, one query a page: half of a large model's channels are 13 MB of JSON. */
const removedIn = (runId: string, iteration: number): Prisma.Sql => Prisma.sql`
  FROM "Iteration" i CROSS JOIN LATERAL jsonb_array_elements(i.removed) WITH ORDINALITY AS r(structure, place)
  WHERE i."runId" = ${runId}::uuid AND i.index = ${iteration}::int`;

/**
 * What an iteration of a run removed, in the order in which it was taken: by score, the lowest first, unless all layers were to stay alike. A cursor is a place in it.
 *
 * @throws EspalierError BAD_CURSOR
 */
export async function listRemoved(
  db: Database,
  runId: string,
  iteration: number,
  request: PageRequest,
): Promise<Listing<RemovedStructure>> {
  const { size, cursor, backward } = walkOf(request);
  if (cursor !== null && !/^\d{1,9}$/.test(cursor)) throw badCursor(cursor);
  const [beyond, direction] = [backward ? "<" : ">", backward ? "DESC" : "ASC"].map((sql) => Prisma.raw(sql));
  const rest = cursor === null ? Prisma.empty : Prisma.sql`AND r.place ${beyond} ${Number(cursor)}::bigint`;
  const rows = await db.$queryRaw<{ structure: RemovedStructure; place: bigint }[]>`
    SELECT r.structure, r.place ${removedIn(runId, iteration)} ${rest} ORDER BY r.place ${direction} LIMIT ${size + 1}::int`;
  const page = pageOf(rows, request);
  const { items } = page;
  return {
    ...page,
    items: items.map(({ structure }) => structure),
    cursors: items.map(({ place }) => String(place)),
    async total() {
      const [row] = await db.$queryRaw<{ count: number }[]>`
        SELECT least(jsonb_array_length(removed), ${mostCounted}::int) AS count FROM "Iteration" WHERE "runId" = ${runId}::uuid AND index = ${iteration}::int`;
      return row?.count ?? 0;
    },
  };
}
