import { EspalierError } from "../errors.ts";
import type { Model } from "../generated/prisma/client.ts";
import type { Architecture, InspectedModel, ModelFile } from "../models/types.ts";
import { newestFirst, type Page, type PageRequest, pageOf } from "./page.ts";
import { type DatabaseRecord, isId, toRecord } from "./record.ts";
import type { Database, Store } from "./store.ts";

export type ModelRecord = DatabaseRecord<
  Model,
  {
    readonly operators: Readonly<Record<string, number>>;
    readonly architecture: Architecture;
    readonly pruningObstacle: InspectedModel["pruningObstacle"];
  }
>;

export interface ModelFilter {
  /** Null: registered models only; an id: that model's children. */
  readonly parentId?: string | null;
  /** Part of the name, in any case. */
  readonly name?: string;
}

/** Stores a model's rows. To be called in a transaction. */
export async function insertModel(tx: Database, model: InspectedModel, name: string, parentId: string | null): Promise<ModelRecord> {
  const { digest, sizeBytes, parameterCount, opset, operators, architecture, files, structures, pruningObstacle } = model;
  await tx.artifact.createMany({ data: files.map((f) => ({ sha256: f.sha256, sizeBytes: f.sizeBytes })), skipDuplicates: true });
  const row = await tx.model.create({
    data: {
      name,
      digest,
      parentId,
      sizeBytes,
      parameterCount,
      opset,
      operators,
      architecture: { ...architecture, cache: architecture.cache.map((c) => ({ ...c })) },
      ...(pruningObstacle ? { pruningObstacle: { ...pruningObstacle } } : {}),
    },
  });
  await tx.modelFile.createMany({ data: files.map((f) => ({ modelId: row.id, path: f.path, sha256: f.sha256 })) });
  await tx.structure.createMany({ data: structures.map((s) => ({ ...s, modelId: row.id, parameters: [...s.parameters] })) });
  return toRecord(row);
}

/** Stores a registered model, or finds it: the same bytes registered twice, even at once, are one model. */
export function registerRootModel(store: Store, model: InspectedModel, name: string): Promise<ModelRecord> {
  return store.prisma.$transaction(async (tx) => {
    // A lock of the digest, until the transaction ends.
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${model.digest}, 0))`;
    const known = await tx.model.findFirst({ where: { digest: model.digest, parentId: null } });
    return known ? toRecord(known) : insertModel(tx, model, name, null);
  });
}

/** Models by id, in the order asked for; null where there is none. */
export async function findModels(db: Database, ids: readonly string[]): Promise<(ModelRecord | null)[]> {
  const rows = await db.model.findMany({ where: { id: { in: ids.filter(isId) } } });
  const byId = new Map(rows.map((row) => [row.id, toRecord(row) as ModelRecord]));
  return ids.map((id) => byId.get(id.toLowerCase()) ?? null);
}

/** @throws EspalierError MODEL_NOT_FOUND */
export async function getModel(db: Database, id: string): Promise<ModelRecord> {
  const [model] = await findModels(db, [id]);
  if (!model) throw new EspalierError("MODEL_NOT_FOUND", `there is no model ${id}`, { id });
  return model;
}

/** @throws EspalierError BAD_CURSOR */
export async function listModels(db: Database, page: PageRequest, { parentId, name }: ModelFilter = {}): Promise<Page<ModelRecord>> {
  if (parentId != null && !isId(parentId)) return pageOf([], page.first);
  const { before, order } = newestFirst(page);
  const where = { parentId, ...(name ? { name: { contains: name, mode: "insensitive" as const } } : {}), ...before };
  const rows = await db.model.findMany({ where, ...order });
  return pageOf(
    rows.map((row) => toRecord(row)),
    page.first,
  );
}

/** A model's files, by path. */
export async function modelFiles(db: Database, modelId: string): Promise<ModelFile[]> {
  const rows = await db.modelFile.findMany({ where: { modelId }, orderBy: { path: "asc" }, include: { artifact: true } });
  return rows.map(({ path, sha256, artifact }) => ({ path, sha256, sizeBytes: Number(artifact.sizeBytes) }));
}
