import type { ModelFile } from "../artifacts/model-files.ts";
import { EspalierError } from "../errors.ts";
import type { ModelExport } from "../generated/prisma/client.ts";
import type { ExportedModel, ExportOptions } from "../models/formats/export-model.ts";
import { type ConfirmFiles, holdFiles } from "./models.ts";
import { type DatabaseRecord, inOrder, isId, toRecord } from "./record.ts";
import { neverAwaited, succeedRun } from "./run-progress.ts";
import { type Enqueue, enqueueReady, insertRun, type RunRecord, type Subject, toRunRecord } from "./runs.ts";
import type { Database, Store } from "./store.ts";

export type ExportRunRecord = RunRecord<"EXPORT">;
export type ExportRecord = DatabaseRecord<ModelExport, { readonly options: Omit<ExportOptions, "format"> }>;

/** The newest run that wrote, or is to write, the same of the same model; null if there is none. */
export async function sameExport(db: Database, subject: Subject, options: ExportRunRecord["options"]): Promise<ExportRunRecord | null> {
  const of = "modelId" in subject ? { modelId: subject.modelId } : { subjectRunId: subject.resultOf };
  if (!Object.values(of).every(isId)) return null;
  const same = { options: { equals: { ...options } }, status: { in: ["QUEUED" as const, "RUNNING" as const, "SUCCEEDED" as const] } };
  const known = await db.run.findFirst({ where: { kind: "EXPORT", ...of, ...same }, orderBy: { id: "desc" } });
  return known && toRunRecord(known);
}

/**
 * Stores a new run that exports a model, QUEUED; or finds the one that wrote or is to write the same of the same model.
 *
 * @param enqueue puts its job into the queue, in the same transaction
 * @throws EspalierError what `insertRun` throws
 */
export function createExportRun(
  store: Store,
  subject: Subject,
  options: ExportRunRecord["options"],
  enqueue: Enqueue,
): Promise<ExportRunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const key = "modelId" in subject ? subject.modelId : subject.resultOf;
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`export ${key}`}, 0))`;
    const known = await sameExport(tx, subject, options);
    if (known) return known;
    const run = await insertRun(tx, { kind: "EXPORT", options, ...subject });
    await enqueueReady(tx, run, enqueue);
    return run;
  });
}

/** Stores what a run has written, and that it has succeeded. @throws EspalierError RUN_LOST if the claim stands no more */
export const recordExport = (
  store: Store,
  run: ExportRunRecord,
  { files, notes, digest, sizeBytes }: ExportedModel,
  peakMemoryBytes: number | null,
  confirmFiles?: ConfirmFiles,
): Promise<void> =>
  succeedRun(store, run, neverAwaited, async (tx) => {
    await holdFiles(tx);
    // They were stored before; a model that had the same may have been deleted just now.
    await confirmFiles?.(files);
    await tx.artifact.createMany({ data: files.map((f) => ({ sha256: f.sha256, sizeBytes: f.sizeBytes })), skipDuplicates: true });
    const { format, executionProvider: _, ...options } = run.options;
    const row = { modelId: run.modelId ?? "", runId: run.id, format, options, digest, sizeBytes, notes: [...notes] };
    const { id: exportId } = await tx.modelExport.create({ data: row });
    await tx.exportFile.createMany({ data: files.map(({ path, sha256 }) => ({ exportId, path, sha256 })) });
    return { columns: { peakMemoryBytes }, event: {} };
  });

/** Exports by id, in the order asked for; null where there is none. */
export async function findExports(db: Database, ids: readonly string[]): Promise<(ExportRecord | null)[]> {
  const rows = await db.modelExport.findMany({ where: { id: { in: ids.filter(isId) } } });
  return inOrder(
    rows.map((row): ExportRecord => toRecord(row)),
    ids,
  );
}

/** What runs have written; null where a run has not, or not yet. */
export async function exportsOfRuns(db: Database, runIds: readonly string[]): Promise<(ExportRecord | null)[]> {
  const rows = await db.modelExport.findMany({ where: { runId: { in: [...runIds] } } });
  const byRun = new Map(rows.map((row) => [row.runId, toRecord(row) as ExportRecord]));
  return runIds.map((id) => byRun.get(id) ?? null);
}

/** Models' exports, oldest first. */
export async function exportsOfModels(db: Database, modelIds: readonly string[]): Promise<ExportRecord[][]> {
  const rows = await db.modelExport.findMany({ where: { modelId: { in: [...modelIds] } }, orderBy: { id: "asc" } });
  return modelIds.map((id) => rows.filter((row) => row.modelId === id).map((row) => toRecord(row)));
}

/** Exports' files, by path. */
export async function filesOfExports(db: Database, exportIds: readonly string[]): Promise<ModelFile[][]> {
  const where = { exportId: { in: [...exportIds] } };
  const rows = await db.exportFile.findMany({ where, orderBy: { path: "asc" }, include: { artifact: true } });
  const file = (row: (typeof rows)[number]) => ({ path: row.path, sha256: row.sha256, sizeBytes: Number(row.artifact.sizeBytes) });
  return exportIds.map((id) => rows.filter((row) => row.exportId === id).map(file));
}

/** Exports whose digest begins with these hexadecimal digits, oldest first, with what their models are called. */
export async function exportsByDigest(
  db: Database,
  prefix: string,
): Promise<{ readonly exported: ExportRecord; readonly modelName: string }[]> {
  const where = { digest: { gte: prefix, lte: `${prefix}g` } };
  const rows = await db.modelExport.findMany({ where, orderBy: { id: "asc" }, include: { model: { select: { name: true } } } });
  return rows.map(({ model, ...row }) => ({ exported: toRecord(row), modelName: model.name }));
}

/**
 * Deletes an export and the run that wrote it.
 *
 * @returns the digests of its files, which are left to clear up
 * @throws EspalierError EXPORT_NOT_FOUND
 */
export function deleteExport(store: Store, id: string): Promise<string[]> {
  return store.prisma.$transaction(async (tx) => {
    // Nobody deletes it too meanwhile.
    if (isId(id)) await tx.$executeRaw`SELECT 1 FROM "ModelExport" WHERE id = ${id}::uuid FOR UPDATE`;
    const [found] = await findExports(tx, [id]);
    if (!found) throw new EspalierError("EXPORT_NOT_FOUND", `there is no export ${id}`, { id });
    const files = await tx.exportFile.findMany({ where: { exportId: found.id }, select: { sha256: true } });
    await tx.modelExport.delete({ where: { id: found.id } });
    await tx.run.delete({ where: { id: found.runId } });
    return files.map(({ sha256 }) => sha256);
  });
}
