import { EspalierError } from "../errors.ts";
import type { Upload } from "../generated/prisma/client.ts";
import { type DatabaseRecord, isId, toRecord } from "./record.ts";
import type { Database, Store } from "./store.ts";

/** A file that is to come. */
export interface AnnouncedFile {
  /** Relative to the model's folder. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Its bytes must have it; null where it was not said. */
  readonly sha256: string | null;
}

export type UploadRecord = DatabaseRecord<Upload, { readonly files: readonly AnnouncedFile[] }>;

export interface NewUpload {
  /** The token of the client; null where it has none. */
  readonly tokenId: string | null;
  readonly files: readonly AnnouncedFile[];
  readonly expiresAt: Date;
}

/** Of one client, that are not models yet. */
const mostUploads = 100;

const toUpload = (row: Upload): UploadRecord => toRecord(row);

/**
 * Stores what is to come.
 *
 * @param most bytes that one client may have announced
 * @throws EspalierError UPLOAD_TOO_LARGE, TOO_MANY_UPLOADS
 */
export function createUpload({ prisma }: Store, { tokenId, files, expiresAt }: NewUpload, most: number): Promise<UploadRecord> {
  const sizeBytes = files.reduce((n, file) => n + file.sizeBytes, 0);
  return prisma.$transaction(async (tx) => {
    // One at a time for each client: else two could each fit.
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`uploads of ${tokenId}`}, 0))`;
    const { _sum: sum, _count: count } = await tx.upload.aggregate({ where: { tokenId }, _sum: { sizeBytes: true }, _count: true });
    if (count >= mostUploads)
      throw new EspalierError("TOO_MANY_UPLOADS", `${count} uploads are not used yet: make models of them, or delete them`, { count });
    const waiting = Number(sum.sizeBytes ?? 0);
    if (waiting + sizeBytes > most) {
      const others = waiting > 0 ? `, and ${waiting} bytes of earlier uploads are not used yet` : "";
      throw new EspalierError("UPLOAD_TOO_LARGE", `the files have ${sizeBytes} bytes${others}: ${most} are allowed together`, {
        sizeBytes,
        waiting,
        most,
      });
    }
    return toUpload(await tx.upload.create({ data: { tokenId, files: files.map((file) => ({ ...file })), sizeBytes, expiresAt } }));
  });
}

/** @throws EspalierError UPLOAD_NOT_FOUND */
export async function getUpload(db: Database, id: string): Promise<UploadRecord> {
  const row = isId(id) ? await db.upload.findUnique({ where: { id } }) : null;
  if (!row) throw new EspalierError("UPLOAD_NOT_FOUND", `there is no upload ${id}`, { id });
  return toUpload(row);
}

/** Keeps an upload until then: more of it has come. */
export async function extendUpload(db: Database, id: string, expiresAt: Date): Promise<void> {
  await db.upload.updateMany({ where: { id }, data: { expiresAt } });
}

/** Nothing where there is none. */
export async function removeUpload(db: Database, id: string): Promise<void> {
  await db.upload.deleteMany({ where: { id } });
}

/**
 * Removes uploads that nobody has gone on with.
 *
 * @returns the ids that are left
 */
export async function removeExpiredUploads(db: Database, now: Date): Promise<Set<string>> {
  await db.upload.deleteMany({ where: { expiresAt: { lt: now } } });
  return new Set((await db.upload.findMany({ select: { id: true } })).map(({ id }) => id));
}
