import type { ModelFile } from "../artifacts/model-files.ts";
import { EspalierError } from "../errors.ts";
import type { Model } from "../generated/prisma/client.ts";
import type { ModelTask } from "../model-task.ts";
import type { Architecture, InspectedModel } from "../models/types.ts";
import { type AgeFilter, createdWithin, holding, namesNobody } from "./filters.ts";
import { keptByRuns } from "./kept-files.ts";
import { type Listing, type ListOrder, listRows, newestFirst, noRows, oldestFirst, type PageRequest } from "./page.ts";
import { type DatabaseRecord, inOrder, isId, toRecord } from "./record.ts";
import { type KeyedRequest, makeOnce } from "./request-keys.ts";
import type { Database, Store } from "./store.ts";

export type ModelRecord = DatabaseRecord<
  Model,
  {
    readonly operators: Readonly<Record<string, number>>;
    readonly architecture: Architecture;
    readonly pruningObstacle: InspectedModel["pruningObstacle"];
  }
>;

/** Models that were stored before there were others are causal. */
export const taskOfModel = ({ architecture }: { readonly architecture: Partial<Architecture> }): ModelTask =>
  architecture.task ?? "CAUSAL_LM";

export interface ModelFilter extends AgeFilter {
  /** That model's children. */
  readonly parentId?: string | undefined;
  /** Whether they have no parent. */
  readonly root?: boolean | undefined;
  /** Part of the name, in any case. */
  readonly name?: string | undefined;
  /** They have all of these. */
  readonly tags?: readonly string[] | undefined;
}

/** What its users may say of a model. */
export interface ModelChanges {
  readonly name?: string | undefined;
  readonly note?: string | undefined;
  readonly tags?: readonly string[] | undefined;
}

/** Those who store models and datasets share this lock, and whoever removes files has it alone. */
const filesLock = 5_023_981;

/** Keeps others from removing files until the transaction ends. */
export const holdFiles = async (tx: Database): Promise<void> => {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock_shared(${filesLock}::bigint)`;
};

/** Looks whether files are there, at a time when none are being removed. */
export type ConfirmFiles = (files: readonly ModelFile[]) => Promise<void>;

/** Stores a model's rows. To be called in a transaction. */
export async function insertModel(
  tx: Database,
  model: InspectedModel,
  name: string,
  parentId: string | null,
  confirmFiles?: ConfirmFiles,
): Promise<ModelRecord> {
  await holdFiles(tx);
  // They were stored before; a model that had the same may have been deleted just now.
  await confirmFiles?.(model.files);
  const { digest, sizeBytes, parameterCount, opset, operators, architecture, files, structures, pruningObstacle, notes } = model;
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
      notes: [...notes],
      architecture: { ...architecture, cache: architecture.cache.map((c) => ({ ...c })) },
      ...(pruningObstacle ? { pruningObstacle: { ...pruningObstacle } } : {}),
    },
  });
  await tx.modelFile.createMany({ data: files.map((f) => ({ modelId: row.id, path: f.path, sha256: f.sha256 })) });
  await tx.structure.createMany({ data: structures.map((s) => ({ ...s, modelId: row.id, parameters: [...s.parameters] })) });
  return toRecord(row);
}

/**
 * Stores a model that was made of no other, or finds it: the same bytes registered twice, even at once, are one model. To be called in
 * a transaction.
 */
export async function insertRootModel(
  tx: Database,
  model: InspectedModel,
  name: string,
  confirmFiles?: ConfirmFiles,
): Promise<{ readonly id: string }> {
  // A lock of the digest, until the transaction ends.
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended(${model.digest}, 0))`;
  const known = await tx.model.findFirst({ where: { digest: model.digest, parentId: null }, select: { id: true } });
  return known ?? insertModel(tx, model, name, null, confirmFiles);
}

/**
 * Stores a registered model, or finds it. A request with the key of an earlier one finds what that one registered.
 *
 * @throws EspalierError IDEMPOTENCY_KEY_REUSED
 */
export function registerRootModel(
  store: Store,
  model: InspectedModel,
  name: string,
  { keyed, confirmFiles }: { readonly keyed?: KeyedRequest | undefined; readonly confirmFiles?: ConfirmFiles } = {},
): Promise<ModelRecord> {
  return store.prisma.$transaction(async (tx) => {
    const id = await makeOnce(tx, keyed, async () => (await insertRootModel(tx, model, name, confirmFiles)).id);
    return getModel(tx, id);
  });
}

/** Models by id, in the order asked for; null where there is none. */
export async function findModels(db: Database, ids: readonly string[]): Promise<(ModelRecord | null)[]> {
  const rows = await db.model.findMany({ where: { id: { in: ids.filter(isId) } } });
  return inOrder(
    rows.map((row): ModelRecord => toRecord(row)),
    ids,
  );
}

/** @throws EspalierError MODEL_NOT_FOUND */
export function noModel(id: string): never {
  throw new EspalierError("MODEL_NOT_FOUND", `there is no model ${id}`, { id });
}

/** @throws EspalierError MODEL_NOT_FOUND */
export async function getModel(db: Database, id: string): Promise<ModelRecord> {
  const [model] = await findModels(db, [id]);
  return model ?? noModel(id);
}

/** Models whose digest begins with these hexadecimal digits, oldest first. */
export async function modelsByDigest(db: Database, prefix: string): Promise<ModelRecord[]> {
  const rows = await db.model.findMany({ where: { digest: { gte: prefix, lte: `${prefix}g` } }, orderBy: { id: "asc" } });
  return rows.map((row) => toRecord(row));
}

/**
 * A model that something is to be made of: nobody deletes it until the transaction ends. Waits for a deletion under way.
 *
 * @throws EspalierError MODEL_NOT_FOUND
 */
export async function holdModel(tx: Database, id: string): Promise<ModelRecord> {
  if (isId(id)) await tx.$executeRaw`SELECT 1 FROM "Model" WHERE id = ${id}::uuid FOR KEY SHARE`;
  return getModel(tx, id);
}

/** How models can be listed. */
export const modelOrders = {
  NEWEST_FIRST: newestFirst,
  OLDEST_FIRST: oldestFirst,
  NAME: { column: "name", holds: "string", descending: false },
  LARGEST_FIRST: { column: "parameterCount", holds: "number", descending: true },
  SMALLEST_FIRST: { column: "parameterCount", holds: "number", descending: false },
} as const satisfies Record<string, ListOrder>;
export type ModelOrder = keyof typeof modelOrders;

/** @throws EspalierError BAD_CURSOR */
export async function listModels(
  db: Database,
  page: PageRequest,
  { parentId, root, name, tags, ...age }: ModelFilter = {},
  orderBy: ModelOrder = "NEWEST_FIRST",
): Promise<Listing<ModelRecord>> {
  if (namesNobody(parentId)) return noRows;
  const parents = [{ parentId }, root === undefined ? {} : { parentId: root ? null : { not: null } }];
  const where = { AND: parents, name: holding(name), tags: tags && { hasEvery: [...tags] }, createdAt: createdWithin(age) };
  return listRows<Model, ModelRecord>(db.model, where, page, modelOrders[orderBy], toRecord);
}

/** @throws EspalierError MODEL_NOT_FOUND */
export async function updateModel(db: Database, id: string, { name, note, tags }: ModelChanges): Promise<ModelRecord> {
  if (isId(id)) await db.model.updateMany({ where: { id }, data: { name, note, tags: tags && [...tags] } });
  return getModel(db, id);
}

/** A model's files, by path. */
export async function modelFiles(db: Database, modelId: string): Promise<ModelFile[]> {
  const rows = await db.modelFile.findMany({ where: { modelId }, orderBy: { path: "asc" }, include: { artifact: true } });
  return rows.map(({ path, sha256, artifact }) => ({ path, sha256, sizeBytes: Number(artifact.sizeBytes) }));
}

/** What is left to clear up after a model: files that no model has any more, and its folder if no model has the same bytes. */
export interface Leftovers {
  readonly digest: string | null;
  readonly sha256s: readonly string[];
}

/**
 * Deletes a model with its runs and their scores, its evaluations and exports, and the rows of its files.
 *
 * @param keepDescendants models made from it lose their parent; otherwise a model that has any is not deleted
 * @throws EspalierError MODEL_NOT_FOUND; MODEL_HAS_DESCENDANTS; MODEL_IN_USE while runs prune, heal or compress it
 */
export function deleteModel(store: Store, id: string, keepDescendants: boolean): Promise<Leftovers> {
  return store.prisma.$transaction(async (tx) => {
    // Nobody makes it a child or a run meanwhile, or deletes it too.
    if (isId(id)) await tx.$executeRaw`SELECT 1 FROM "Model" WHERE id = ${id}::uuid FOR UPDATE`;
    const { id: modelId, digest } = await getModel(tx, id);
    const running = await tx.run.count({
      where: { modelId, kind: { in: ["PRUNING", "RECOVERY", "COMPRESSION"] }, status: { in: ["QUEUED", "RUNNING"] } },
    });
    if (running > 0)
      throw new EspalierError("MODEL_IN_USE", `${running} runs that prune, heal or compress the model are not over: cancel them first`, {
        id,
        running,
      });
    const children = await tx.model.count({ where: { parentId: modelId } });
    if (children > 0 && !keepDescendants)
      throw new EspalierError(
        "MODEL_HAS_DESCENDANTS",
        `${children} models were made from the model; delete them first, or keep them without a parent`,
        { id, children },
      );
    const files = await modelFiles(tx, modelId);
    await tx.model.updateMany({ where: { parentId: modelId }, data: { parentId: null } });
    const runs = await tx.run.findMany({ where: { modelId }, select: { id: true } });
    await tx.requestKey.deleteMany({ where: { resultId: { in: [modelId, ...runs.map((run) => run.id)] } } });
    const exported = await tx.exportFile.findMany({ where: { export: { modelId } }, select: { sha256: true } });
    await tx.modelExport.deleteMany({ where: { modelId } });
    const kept = await keptByRuns(tx, { modelId });
    await tx.run.deleteMany({ where: { modelId } });
    await tx.model.delete({ where: { id: modelId } });
    const twins = await tx.model.count({ where: { digest } });
    return { digest: twins > 0 ? null : digest, sha256s: [...[...files, ...exported].map((file) => file.sha256), ...kept] };
  });
}

/**
 * Removes artifacts that nothing has, and their rows.
 *
 * @param remove removes the file
 * @returns those that were removed
 */
export function removeUnused(store: Store, sha256s: readonly string[], remove: (sha256: string) => Promise<void>): Promise<string[]> {
  return store.prisma.$transaction(async (tx) => {
    await tx.$executeRaw`SELECT pg_advisory_xact_lock(${filesLock}::bigint)`;
    const used = await tx.$queryRaw<{ sha256: string }[]>`
      SELECT sha256 FROM "ModelFile" WHERE sha256 = ANY(${[...sha256s]}) UNION SELECT sha256 FROM "ExportFile" WHERE sha256 = ANY(${[...sha256s]})
      UNION SELECT sha256 FROM "Checkpoint" WHERE sha256 = ANY(${[...sha256s]}) UNION SELECT sha256 FROM "CompressionStep" WHERE sha256 = ANY(${[...sha256s]})
      UNION SELECT digest FROM "Dataset" WHERE digest = ANY(${[...sha256s]})`;
    const unused = [...new Set(sha256s)].filter((sha256) => !used.some((file) => file.sha256 === sha256));
    for (const sha256 of unused) await remove(sha256);
    await tx.artifact.deleteMany({ where: { sha256: { in: unused } } });
    return unused;
  });
}

/** An artifact, and where models have it. */
export interface FileInUse {
  readonly sha256: string;
  /** Names of models, exports, runs and datasets. */
  readonly owners: readonly string[];
  /** In the folders of models. */
  readonly places: readonly { readonly digest: string; readonly path: string }[];
}

/** Every artifact that a model, an export, a run or a dataset has. */
export async function filesInUse(db: Database): Promise<FileInUse[]> {
  return db.$queryRaw<FileInUse[]>`
    SELECT sha256, array_agg(DISTINCT owner) AS owners,
      coalesce(jsonb_agg(jsonb_build_object('digest', digest, 'path', path)) FILTER (WHERE path IS NOT NULL), '[]') AS places
    FROM (
      SELECT f.sha256, m.name AS owner, m.digest, f.path FROM "ModelFile" f JOIN "Model" m ON m.id = f."modelId"
      UNION ALL SELECT f.sha256, m.name || ' as ' || e.format, NULL, NULL FROM "ExportFile" f
        JOIN "ModelExport" e ON e.id = f."exportId" JOIN "Model" m ON m.id = e."modelId"
      UNION ALL SELECT sha256, 'the run ' || "runId", NULL, NULL FROM "Checkpoint"
      UNION ALL SELECT sha256, 'the run ' || "runId", NULL, NULL FROM "CompressionStep" WHERE sha256 IS NOT NULL
      UNION ALL SELECT digest, coalesce(name, 'the dataset ' || id), NULL, NULL FROM "Dataset"
    ) used GROUP BY sha256 ORDER BY sha256`;
}
