import { EspalierError } from "../errors.ts";
import type { Dataset } from "../generated/prisma/client.ts";
import type { DatasetForm } from "../text/dataset-content.ts";
import type { Overlap } from "../text/overlap.ts";
import { type AgeFilter, createdWithin, holding } from "./filters.ts";
import { holdFiles } from "./models.ts";
import { type Listing, type ListOrder, listRows, newestFirst, oldestFirst, type PageRequest } from "./page.ts";
import { type DatabaseRecord, inOrder, isId, toRecord } from "./record.ts";
import type { Database, Store } from "./store.ts";

export type DatasetRecord = DatabaseRecord<Dataset, { readonly form: DatasetForm }>;

/** How a dataset is pointed at. */
export type DatasetReference = { readonly id: string } | { readonly name: string };

export interface NewDataset {
  /** Null for texts that come with a request. */
  readonly name: string | null;
  readonly description: string;
  /** Of the artifact that holds its records. */
  readonly digest: string;
  readonly form: DatasetForm;
  readonly recordCount: number;
  readonly sizeBytes: number;
}

/**
 * Stores a dataset, or finds it: the same records are one dataset, under the first name they were given.
 *
 * @param confirmFile looks whether its file is there, or stores it, at a time when none are being removed
 * @throws EspalierError DATASET_NAME_TAKEN if other records have the name
 */
export function registerDataset(store: Store, dataset: NewDataset, confirmFile?: () => Promise<unknown>): Promise<DatasetRecord> {
  const { name, digest, sizeBytes } = dataset;
  return store.prisma.$transaction(async (tx) => {
    await lockNames(tx);
    await holdFiles(tx);
    // It was stored before; a dataset of the same records may have been deleted just now.
    await confirmFile?.();
    const known = await tx.dataset.findUnique({ where: { digest } });
    if (known && (known.name !== null || name === null)) return toRecord(known);
    if (name !== null) await requireFreeName(tx, name, digest);
    if (known) return toRecord(await tx.dataset.update({ where: { digest }, data: { name, description: dataset.description } }));
    await tx.artifact.createMany({ data: { sha256: digest, sizeBytes }, skipDuplicates: true });
    return toRecord(await tx.dataset.create({ data: dataset }));
  });
}

/** A lock until the transaction ends: of two that register at once the second finds what the first stored. */
const lockNames = async (tx: Database): Promise<void> => {
  await tx.$executeRaw`SELECT pg_advisory_xact_lock(hashtextextended('espalier datasets', 0))`;
};

/** @throws EspalierError DATASET_NAME_TAKEN if records with another digest have the name */
export async function requireFreeName(db: Database, name: string, digest: string): Promise<void> {
  const named = await db.dataset.findUnique({ where: { name } });
  if (named && named.digest !== digest) throw new EspalierError("DATASET_NAME_TAKEN", `another dataset is called "${name}"`, { name });
}

/** The dataset whose records have a digest; null where there is none. */
export async function findDatasetOf(db: Database, digest: string): Promise<DatasetRecord | null> {
  const row = await db.dataset.findUnique({ where: { digest } });
  return row && toRecord(row);
}

/** Null where there is none. */
export async function findDataset(db: Database, reference: DatasetReference): Promise<DatasetRecord | null> {
  if ("id" in reference && !isId(reference.id)) return null;
  const row = await db.dataset.findUnique({ where: "id" in reference ? { id: reference.id } : { name: reference.name } });
  return row && toRecord(row);
}

/** @throws EspalierError DATASET_NOT_FOUND */
export async function getDataset(db: Database, reference: DatasetReference): Promise<DatasetRecord> {
  const dataset = await findDataset(db, reference);
  if (dataset) return dataset;
  const what = "id" in reference ? reference.id : `called "${reference.name}"`;
  throw new EspalierError("DATASET_NOT_FOUND", `there is no dataset ${what}`, { ...reference });
}

/** Datasets by id, in the order asked for; null where there is none. */
export async function findDatasets(db: Database, ids: readonly string[]): Promise<(DatasetRecord | null)[]> {
  const rows = await db.dataset.findMany({ where: { id: { in: [...ids] } } });
  return inOrder(
    rows.map((row): DatasetRecord => toRecord(row)),
    ids,
  );
}

export interface DatasetFilter extends AgeFilter {
  /** Part of the name, in any case. */
  readonly name?: string | undefined;
  readonly form?: DatasetForm | undefined;
  /** They have all of these. */
  readonly tags?: readonly string[] | undefined;
}

/** What its users may say of a dataset. */
export interface DatasetChanges {
  readonly name?: string | undefined;
  readonly description?: string | undefined;
  readonly tags?: readonly string[] | undefined;
}

/** How datasets can be listed. */
const datasetOrders = {
  NEWEST_FIRST: newestFirst,
  OLDEST_FIRST: oldestFirst,
  NAME: { column: "name", holds: "string", descending: false },
  LARGEST_FIRST: { column: "sizeBytes", holds: "number", descending: true },
} as const satisfies Record<string, ListOrder>;
export type DatasetOrder = keyof typeof datasetOrders;

/** Datasets that have names. @throws EspalierError BAD_CURSOR */
export async function listDatasets(
  db: Database,
  page: PageRequest,
  { name, form, tags, ...age }: DatasetFilter = {},
  orderBy: DatasetOrder = "NEWEST_FIRST",
): Promise<Listing<DatasetRecord>> {
  const where = { name: { not: null, ...holding(name) }, form, tags: tags && { hasEvery: [...tags] }, createdAt: createdWithin(age) };
  return listRows<Dataset, DatasetRecord>(db.dataset, where, page, datasetOrders[orderBy], toRecord);
}

/** What a model and its ancestors were pruned, healed and compressed with, each once. */
export async function calibrationDatasets(db: Database, modelId: string): Promise<DatasetRecord[]> {
  const rows = await db.$queryRaw<{ id: string }[]>`
    WITH RECURSIVE line AS (
      SELECT id, "parentId" FROM "Model" WHERE id = ${modelId}::uuid
      UNION ALL
      SELECT m.id, m."parentId" FROM line JOIN "Model" m ON m.id = line."parentId"
    )
    SELECT DISTINCT r."datasetId" AS id FROM line JOIN "Run" r ON r."resultModelId" = line.id WHERE r."datasetId" IS NOT NULL`;
  const datasets = await findDatasets(
    db,
    rows.map((r) => r.id),
  );
  return datasets.filter((d) => d !== null);
}

/** How much of a dataset is in another, if that was worked out before. */
export async function findOverlap(db: Database, datasetId: string, otherId: string): Promise<Overlap | null> {
  return db.datasetOverlap.findUnique({ where: { datasetId_otherId: { datasetId, otherId } }, select: { ratio: true, example: true } });
}

export async function recordOverlap(db: Database, datasetId: string, otherId: string, { ratio, example }: Overlap): Promise<void> {
  await db.datasetOverlap.createMany({ data: { datasetId, otherId, ratio, example }, skipDuplicates: true });
}

/**
 * A dataset that something is to work with: nobody deletes it until the transaction ends. Waits for a deletion under way.
 *
 * @throws EspalierError DATASET_NOT_FOUND
 */
export async function holdDataset(tx: Database, id: string): Promise<void> {
  if (isId(id)) await tx.$executeRaw`SELECT 1 FROM "Dataset" WHERE id = ${id}::uuid FOR KEY SHARE`;
  await getDataset(tx, { id });
}

/**
 * Changes what its users say of a dataset.
 *
 * @throws EspalierError DATASET_NOT_FOUND, DATASET_NAME_TAKEN
 */
export function updateDataset(store: Store, id: string, { name, description, tags }: DatasetChanges): Promise<DatasetRecord> {
  return store.prisma.$transaction(async (tx) => {
    await lockNames(tx);
    const known = await getDataset(tx, { id });
    if (name !== undefined) await requireFreeName(tx, name, known.digest);
    const data = { name, description, tags: tags && [...tags] };
    return toRecord(await tx.dataset.update({ where: { id: known.id }, data }));
  });
}

/**
 * Deletes the rows of a dataset.
 *
 * @returns the digest of its records, which are left to clear up
 * @throws EspalierError DATASET_NOT_FOUND; DATASET_IN_USE while there are runs that worked with it
 */
export function deleteDataset(store: Store, id: string): Promise<string> {
  return store.prisma.$transaction(async (tx) => {
    // Nobody makes a run with it meanwhile, or deletes it too.
    if (isId(id)) await tx.$executeRaw`SELECT 1 FROM "Dataset" WHERE id = ${id}::uuid FOR UPDATE`;
    const { id: datasetId, digest } = await getDataset(tx, { id });
    const runs = await tx.run.count({ where: { datasetId } });
    if (runs > 0) throw new EspalierError("DATASET_IN_USE", `${runs} runs work with the dataset, or did: delete them first`, { id, runs });
    await tx.dataset.delete({ where: { id: datasetId } });
    return digest;
  });
}
