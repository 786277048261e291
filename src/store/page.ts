import { EspalierError } from "../errors.ts";
import { isId } from "./record.ts";

/** A page of a list: the first so many after a cursor, which is the last page's. */
export interface PageRequest {
  readonly first: number;
  readonly after?: string | null;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly hasNextPage: boolean;
}

/** Cuts a page out of a query's rows, which were asked for one more than the page holds. */
export function pageOf<Item>(rows: readonly Item[], first: number): Page<Item> {
  return { items: rows.slice(0, first), hasNextPage: rows.length > first };
}

export function badCursor(cursor: string): EspalierError {
  return new EspalierError("BAD_CURSOR", `"${cursor}" is not a cursor of this list`, { cursor });
}

/**
 * Prisma's arguments for a page of rows in order of age. Ids are UUIDs of version 7, which sort by time: an id is its row's
 * cursor, and a row that comes or goes moves no other to another page.
 *
 * @throws EspalierError BAD_CURSOR
 */
export function byAge({ first, after }: PageRequest, order: "NEWEST_FIRST" | "OLDEST_FIRST") {
  if (after != null && !isId(after)) throw badCursor(after);
  const [beyond, direction] = order === "NEWEST_FIRST" ? (["lt", "desc"] as const) : (["gt", "asc"] as const);
  return { before: after == null ? {} : { id: { [beyond]: after } }, order: { orderBy: { id: direction }, take: first + 1 } };
}

/** The same, newest first: as most lists are. @throws EspalierError BAD_CURSOR */
export const newestFirst = (page: PageRequest) => byAge(page, "NEWEST_FIRST");
