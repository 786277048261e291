import { openArtifacts } from "../artifacts/artifacts.ts";
import { removeUnused } from "../store/models.ts";
import { checkpointOf } from "../store/recovery-runs.ts";
import { deleteRun as deleteRows, getRun } from "../store/runs.ts";
import type { Store } from "../store/store.ts";

/**
 * Deletes a run, and the checkpoint that it had. If that is cut short, a file is left that `npm run fsck` finds.
 *
 * @throws EspalierError what the store's `deleteRun` throws; nothing is deleted then
 */
export async function deleteRun(
  { store, dataDirectory }: { readonly store: Store; readonly dataDirectory: string },
  id: string,
): Promise<void> {
  const run = await getRun(store.prisma, id);
  const checkpoint = await checkpointOf(store.prisma, run.id);
  await deleteRows(store, run.id);
  if (checkpoint === null) return;
  const artifacts = await openArtifacts(dataDirectory);
  await removeUnused(store, [checkpoint], (sha256) => artifacts.remove(sha256));
}
