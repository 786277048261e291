import { isId } from "./record.ts";

/** Which records of a list are wanted by when they came: from one moment on, and up to another. */
export interface AgeFilter {
  readonly createdAfter?: Date | undefined;
  readonly createdBefore?: Date | undefined;
}

/** Prisma's condition for one of some values; all are wanted where nothing is said. */
export const among = <Value>(values: readonly Value[] | undefined) => (values ? { in: [...values] } : undefined);

/** Prisma's condition for what came after a moment, and before another. */
export const createdWithin = ({ createdAfter, createdBefore }: AgeFilter) => ({ gt: createdAfter, lt: createdBefore });

/** Prisma's condition for a text in a text, in any case. It leaves the signs of LIKE as they are. */
export const holding = (text: string | undefined) =>
  text === undefined ? undefined : { contains: text.replace(/[\\%_]/g, "\\$&"), mode: "insensitive" as const };

/** Whether nothing can meet a filter: it names what is no id. PostgreSQL would refuse to look. */
export const namesNobody = (...ids: readonly (string | null | undefined)[]): boolean => ids.some((id) => id != null && !isId(id));
