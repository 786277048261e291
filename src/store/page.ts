import { EspalierError } from "../errors.ts";
import { isId } from "./record.ts";

/** A page of a list: the first so many, after a cursor if one is given, or the last so many, before one. Cursors are other pages'. */
export type PageRequest =
  | { readonly first: number; readonly after?: string | null }
  | { readonly last: number; readonly before?: string | null };

export interface Page<Item> {
  readonly items: readonly Item[];
  /** After the page: where it was asked for before a cursor, what the cursor stands for. */
  readonly hasNextPage: boolean;
  readonly hasPreviousPage: boolean;
}

/** A page with all that a client can ask of it. */
export interface Listing<Item> extends Page<Item> {
  /** Of the items. */
  readonly cursors: readonly string[];
  /** How many the list has, up to `mostCounted`. */
  total(): Promise<number>;
}

/** How many a page has where nothing is said. */
export const usualPage = 20;

/** Counting ends here: a list of millions costs no more to count. */
export const mostCounted = 10_000;

/** How far to read, from where, and which way. */
export interface Walk {
  readonly size: number;
  readonly cursor: string | null;
  readonly backward: boolean;
}

export const walkOf = (page: PageRequest): Walk =>
  "last" in page
    ? { size: page.last, cursor: page.before ?? null, backward: true }
    : { size: page.first, cursor: page.after ?? null, backward: false };

/** Cuts a page out of a query's rows, which were read as the walk says: one more than the page holds. */
export function pageOf<Item>(rows: readonly Item[], request: PageRequest): Page<Item> {
  const { size, cursor, backward } = walkOf(request);
  const items = rows.slice(0, size);
  const [ahead, behind] = [rows.length > size, cursor !== null];
  return backward
    ? { items: items.reverse(), hasNextPage: behind, hasPreviousPage: ahead }
    : { items, hasNextPage: ahead, hasPreviousPage: behind };
}

export function badCursor(cursor: string): EspalierError {
  return new EspalierError("BAD_CURSOR", `"${cursor}" is not a cursor of this list`, { cursor });
}

/**
 * What a list is ordered by: a column that is never null, and then the id. Ids are UUIDs of version 7, which sort by time: by the id
 * alone a list is in order of age.
 */
export interface ListOrder {
  readonly column: string;
  readonly holds: "id" | "string" | "number";
  readonly descending: boolean;
  /** Whether rows of one value come by age, the oldest first, although the column descends. */
  readonly oldestFirst?: boolean;
}

export const newestFirst: ListOrder = { column: "id", holds: "id", descending: true };
export const oldestFirst: ListOrder = { column: "id", holds: "id", descending: false };

type Row = Readonly<Record<string, unknown>> & { readonly id: string };

/** A row's place in an order, as a client keeps it: a row that comes or goes moves no other to another page. */
export const cursorOf = (row: Row, { column, holds }: ListOrder): string =>
  holds === "id" ? row.id : Buffer.from(JSON.stringify([row[column], row.id])).toString("base64url");

/**
 * Where a cursor of an order stands.
 *
 * @throws EspalierError BAD_CURSOR
 */
export function placeOf(cursor: string, { holds }: ListOrder): readonly [value: unknown, id: string] {
  if (holds === "id") {
    if (isId(cursor)) return [cursor, cursor];
    throw badCursor(cursor);
  }
  try {
    const [value, id, ...more]: unknown[] = JSON.parse(Buffer.from(cursor, "base64url").toString());
    const fits = holds === "number" ? Number.isSafeInteger(value) : typeof value === "string" && !value.includes("\0");
    if (fits && typeof id === "string" && isId(id) && more.length === 0) return [value, id];
  } catch {
    // Not even JSON: a bad cursor all the same.
  }
  throw badCursor(cursor);
}

/** Which way a walk reads: whether the column descends, and whether of equal values the newer follow. */
export function waysOf(
  { descending: down, oldestFirst: old }: ListOrder,
  backward: boolean,
): readonly [descending: boolean, newer: boolean] {
  const descending = down !== backward;
  return [descending, old === true ? !backward : !descending];
}

/** What lies beyond a place. The first condition follows from the second; an index can be read by it. */
function beyond(cursor: string, order: ListOrder, descending: boolean, newer: boolean): object {
  const [value, id] = placeOf(cursor, order);
  const { column } = order;
  const past = descending ? "lt" : "gt";
  if (order.holds === "id") return { id: { [past]: id } };
  return {
    [column]: { [`${past}e`]: value },
    OR: [{ [column]: { [past]: value } }, { [column]: value, id: { [newer ? "gt" : "lt"]: id } }],
  };
}

/** A table of Prisma's. */
interface Table {
  findMany(query: never): PromiseLike<readonly object[]>;
  count(query: never): PromiseLike<number>;
}

/**
 * A page of the rows of a table, by their places and not by their numbers.
 *
 * @param where which rows
 * @param toRecord what is made of each
 * @throws EspalierError BAD_CURSOR
 */
export async function listRows<Stored extends object, Item extends object>(
  table: Table,
  where: object,
  request: PageRequest,
  order: ListOrder,
  toRecord: (row: Stored) => Item,
): Promise<Listing<Item>> {
  const { size, cursor, backward } = walkOf(request);
  const [descending, newer] = waysOf(order, backward);
  const direction = descending ? "desc" : "asc";
  const query = {
    where: { AND: [where, cursor === null ? {} : beyond(cursor, order, descending, newer)] },
    orderBy: order.holds === "id" ? { id: direction } : [{ [order.column]: direction }, { id: newer ? "asc" : "desc" }],
    take: size + 1,
  };
  const rows = (await table.findMany(query as never)) as readonly Stored[];
  const page = pageOf(rows.map(toRecord), request);
  return {
    ...page,
    cursors: page.items.map((item) => cursorOf(item as Row, order)),
    total: async () => table.count({ where, take: mostCounted } as never),
  };
}

/** A list of nothing, for a filter that nothing can meet. */
export const noRows: Listing<never> = { items: [], hasNextPage: false, hasPreviousPage: false, cursors: [], total: async () => 0 };
