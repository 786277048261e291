import type { CompressedProduct, CompressionSummary } from "../compression/events.ts";
import type { CompressionOptions } from "../compression/options.ts";
import type { InspectedModel } from "../models/types.ts";
import { appendEvent, type RunEvents } from "./events.ts";
import { type ConfirmFiles, getModel, holdFiles, insertModel } from "./models.ts";
import { badCursor, type Listing, mostCounted, type PageRequest, pageOf, walkOf } from "./page.ts";
import { type KeyedRequest, makeOnce } from "./request-keys.ts";
import { type RunClaim, succeedRun, whileClaimed } from "./run-progress.ts";
import { type Enqueue, enqueueReady, getRun, insertRun, type RunRecord, type RunRequest, type Subject } from "./runs.ts";
import type { Database, Store } from "./store.ts";

export type CompressionRunRecord = RunRecord<"COMPRESSION">;

export type NewCompressionRun = Subject &
  Omit<RunRequest<"COMPRESSION">, "kind" | "comparisonKey" | "overlapRatio"> & { readonly method: string };

/**
 * Stores a new compression run, QUEUED; or finds the one that an earlier request with the same key stored.
 *
 * @throws EspalierError what `insertRun` throws; IDEMPOTENCY_KEY_REUSED
 */
export function createCompressionRun(
  store: Store,
  asked: NewCompressionRun,
  enqueue: Enqueue,
  keyed?: KeyedRequest,
): Promise<CompressionRunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const id = await makeOnce(tx, keyed, async () => {
      const run = await insertRun(tx, { ...asked, kind: "COMPRESSION" });
      await enqueueReady(tx, run, enqueue);
      return run.id;
    });
    return getRun(tx, id, "COMPRESSION");
  });
}

/** Whether what comes of a run has codes in place of weights: no gradients are had of it then. */
export const isQuantising = ({ scheme }: Pick<CompressionOptions, "scheme">): boolean => scheme !== "SPARSE";

/** The artifacts of a run's steps, in order: it goes on after them. */
export async function compressedFiles(db: Database, runId: string): Promise<string[]> {
  const rows = await db.compressionStep.findMany({ where: { runId }, orderBy: { step: "asc" }, select: { sha256: true } });
  return rows.flatMap(({ sha256 }) => sha256 ?? []);
}

/** How many steps a run has stored. */
export const compressedSteps = (db: Database, runId: string): Promise<number> => db.compressionStep.count({ where: { runId } });

/** Where a run stands by its stored steps. */
export const compressionStands = async (
  tx: Database,
  { id }: Pick<CompressionRunRecord, "id">,
): Promise<RunEvents["COMPRESSION"]["RESUMED"]> => ({ step: await compressedSteps(tx, id) });

/** Records that compression runs, and on what. A run that is resumed has started already. */
export function recordCompressionStart(store: Store, claim: RunClaim, payload: RunEvents["COMPRESSION"]["STARTED"]): Promise<void> {
  return whileClaimed(store, claim, async (tx) => {
    const { count } = await tx.run.updateMany({
      where: { id: claim.id, startedAt: null },
      data: { startedAt: new Date(), executionProvider: payload.executionProvider },
    });
    if (count > 0) await appendEvent(tx, claim.id, "STARTED", payload);
  });
}

/** Records a step and the file that holds what its products became. Nothing if that was done, by a commit whose answer was lost. */
export function recordCompressed(
  store: Store,
  { id: runId, attempt }: RunClaim,
  payload: RunEvents["COMPRESSION"]["COMPRESSED"],
  { sha256, sizeBytes }: { readonly sha256: string; readonly sizeBytes: number },
): Promise<void> {
  return whileClaimed(store, { id: runId, attempt }, async (tx) => {
    await holdFiles(tx);
    const { step, steps } = payload;
    if ((await tx.compressionStep.count({ where: { runId, step } })) > 0) return;
    await tx.artifact.createMany({ data: { sha256, sizeBytes }, skipDuplicates: true });
    const products = payload.products.map((product) => ({ ...product, certificate: product.certificate && { ...product.certificate } }));
    await tx.compressionStep.create({ data: { runId, step, sha256, products } });
    await tx.run.update({ where: { id: runId }, data: { progress: step / steps } });
    await appendEvent(tx, runId, "COMPRESSED", payload);
  });
}

/** What the child of a model is called: `smollm2-gptq-int4`. */
const nameOf = (base: string, method: string, { scheme }: Pick<CompressionOptions, "scheme">): string =>
  `${base}-${`${method}-${scheme}`.toLowerCase().replaceAll("_", "-")}`;

/**
 * Records success: the compressed model, a child of the run's, and the run's end. What is known of the products stays.
 *
 * @returns the artifacts of its steps, which are of no use any more
 */
export async function recordCompressedModel(
  store: Store,
  claim: CompressionRunRecord,
  {
    compressed,
    summary,
    peakMemoryBytes,
  }: { readonly compressed: InspectedModel; readonly summary: CompressionSummary; readonly peakMemoryBytes: number },
  enqueue: Enqueue,
  confirmFiles?: ConfirmFiles,
): Promise<string[]> {
  let files: string[] = [];
  await succeedRun(store, claim, enqueue, async (tx) => {
    const base = await getModel(tx, claim.modelId ?? "");
    // As many weights as it had: what stands twice in its graph, as table and as head, may have codes of its own in each.
    const child = { ...compressed, parameterCount: base.parameterCount };
    const { id: modelId } = await insertModel(tx, child, nameOf(base.name, claim.method, claim.options), base.id, confirmFiles);
    files = await compressedFiles(tx, claim.id);
    await tx.compressionStep.updateMany({ where: { runId: claim.id }, data: { sha256: null } });
    return {
      resultModelId: modelId,
      columns: { result: { ...summary, left: summary.left.map((each) => ({ ...each })) }, peakMemoryBytes },
      event: { modelId, ...summary },
    };
  });
  return files;
}

/** The products that each of many runs has compressed, in order. */
export async function productsOfRuns(db: Database, runIds: readonly string[]): Promise<CompressedProduct[][]> {
  const rows = await db.compressionStep.findMany({
    where: { runId: { in: [...runIds] } },
    orderBy: { step: "asc" },
    select: { runId: true, products: true },
  });
  return runIds.map((id) => rows.flatMap(({ runId, products }) => (runId === id ? (products as unknown as CompressedProduct[]) : [])));
}

/** A page of a run's products. A cursor is the place of one among them all, which it keeps: more come after the last. @throws EspalierError BAD_CURSOR */
export function pageOfProducts(products: readonly CompressedProduct[], request: PageRequest): Listing<CompressedProduct> {
  const { size, cursor, backward } = walkOf(request);
  if (cursor !== null && !/^\d{1,9}$/.test(cursor)) throw badCursor(cursor);
  const places = products.map((_, place) => place);
  const beyond = places.filter((place) => cursor === null || (backward ? place < Number(cursor) : place > Number(cursor)));
  const page = pageOf((backward ? beyond.reverse() : beyond).slice(0, size + 1), request);
  return {
    ...page,
    items: page.items.map((place) => products[place] as CompressedProduct),
    cursors: page.items.map(String),
    total: async () => Math.min(mostCounted, products.length),
  };
}
