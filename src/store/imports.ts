import type { InspectedModel } from "../models/types.ts";
import { type ConfirmFiles, insertRootModel } from "./models.ts";
import { type KeyedRequest, makeOnce } from "./request-keys.ts";
import { succeedRun } from "./run-progress.ts";
import { type Enqueue, enqueueReady, getRun, insertRun, type RunRecord } from "./runs.ts";
import type { Store } from "./store.ts";

export type ImportRunRecord = RunRecord<"IMPORT">;

/**
 * Stores a new run that imports a model, QUEUED; or finds the one that an earlier request with the same key stored.
 *
 * @throws EspalierError IDEMPOTENCY_KEY_REUSED
 */
export function createImportRun(
  store: Store,
  options: ImportRunRecord["options"],
  enqueue: Enqueue,
  keyed?: KeyedRequest,
): Promise<ImportRunRecord> {
  return store.prisma.$transaction(async (tx) => {
    const id = await makeOnce(tx, keyed, async () => {
      const run = await insertRun(tx, { kind: "IMPORT", modelId: null, options });
      await enqueueReady(tx, run, enqueue);
      return run.id;
    });
    return getRun(tx, id, "IMPORT");
  });
}

/** Stores what was imported, or finds that it is there, and that the run has succeeded. @throws EspalierError RUN_LOST if the claim stands no more */
export const recordImported = (
  store: Store,
  run: ImportRunRecord,
  model: InspectedModel,
  enqueue: Enqueue,
  confirmFiles?: ConfirmFiles,
): Promise<void> =>
  succeedRun(store, run, enqueue, async (tx) => {
    const { id } = await insertRootModel(tx, model, run.options.name, confirmFiles);
    return { resultModelId: id, columns: {}, event: {} };
  });
