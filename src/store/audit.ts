import type { AuditEntry } from "../generated/prisma/client.ts";
import { namesNobody } from "./filters.ts";
import { type Listing, listRows, newestFirst, noRows, type PageRequest } from "./page.ts";
import { inOrder } from "./record.ts";
import type { Database } from "./store.ts";

/** A mutation that a client asked for. */
export type AuditRecord = AuditEntry;

/** @returns the entry's id */
export async function beginAudit(
  db: Database,
  entry: Pick<AuditRecord, "tokenId" | "tokenName" | "address" | "mutation" | "arguments">,
): Promise<string> {
  return (await db.auditEntry.create({ data: entry, select: { id: true } })).id;
}

export async function endAudit(db: Database, id: string, end: Pick<AuditRecord, "outcome" | "durationMs" | "resultIds">): Promise<void> {
  await db.auditEntry.update({ where: { id }, data: end, select: { id: true } });
}

/** What to list of the audit trail. */
export interface AuditFilter {
  readonly tokenId?: string | undefined;
  readonly mutation?: string | undefined;
}

/** Newest first. @throws EspalierError BAD_CURSOR */
export async function listAudit(db: Database, page: PageRequest, { tokenId, mutation }: AuditFilter): Promise<Listing<AuditRecord>> {
  if (namesNobody(tokenId)) return noRows;
  return listRows(db.auditEntry, { tokenId, mutation }, page, newestFirst, (row: AuditRecord) => row);
}

/** Entries by id, in the order asked for; null where there is none. */
export async function findAudit(db: Database, ids: readonly string[]): Promise<(AuditRecord | null)[]> {
  return inOrder(await db.auditEntry.findMany({ where: { id: { in: [...ids] } } }), ids);
}
