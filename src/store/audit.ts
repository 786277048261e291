import type { AuditEntry } from "../generated/prisma/client.ts";
import { newestFirst, type Page, type PageRequest, pageOf } from "./page.ts";
import { isId } from "./record.ts";
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
export async function listAudit(db: Database, page: PageRequest, { tokenId, mutation }: AuditFilter): Promise<Page<AuditRecord>> {
  const { before, order } = newestFirst(page);
  if (tokenId !== undefined && !isId(tokenId)) return { items: [], hasNextPage: false };
  const rows = await db.auditEntry.findMany({
    where: { ...before, ...(tokenId === undefined ? {} : { tokenId }), ...(mutation === undefined ? {} : { mutation }) },
    ...order,
  });
  return pageOf(rows, page.first);
}
