/** What a column of JSON holds is known to the program and not to Prisma: `Json` says it. Counts are numbers, all far below 2^53. */
export type DatabaseRecord<Row, Json = unknown> = {
  readonly [Column in keyof Row]: Column extends keyof Json
    ? Json[Column]
    : Row[Column] extends bigint
      ? number
      : Row[Column] extends bigint | null
        ? number | null
        : Row[Column];
};

export function toRecord<Row extends object, Json>(row: Row): DatabaseRecord<Row, Json> {
  const entries = Object.entries(row).map(([column, value]) => [column, typeof value === "bigint" ? Number(value) : value]);
  return Object.fromEntries(entries) as DatabaseRecord<Row, Json>;
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Whether a string can be an id at all; PostgreSQL refuses a query with one that cannot. */
export const isId = (text: string): boolean => uuid.test(text);

/** Records in the order of the ids asked for, in whatever case; null where there is none. */
export function inOrder<Item extends { readonly id: string }>(items: readonly Item[], ids: readonly string[]): (Item | null)[] {
  const byId = new Map(items.map((item) => [item.id, item]));
  return ids.map((id) => byId.get(id.toLowerCase()) ?? null);
}
