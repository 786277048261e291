import { openArtifacts } from "../artifacts/artifacts.ts";
import { keptByRuns } from "../store/kept-files.ts";
import { removeUnused } from "../store/models.ts";
import { deleteRun as deleteRows, getRun } from "../store/runs.ts";
import type { Store } from "../store/store.ts";

/**
 * Deletes a run, and the files that it kept to go on from. If that is cut short, files are left that `npm run fsck` finds.
 *
 * @throws EspalierError what the store's `deleteRun` throws; nothing is deleted then
 */
export async function deleteRun(
  { store, dataDirectory }: { readonly store: Store; readonly dataDirectory: string },
  id: string,
): Promise<void> {
  const run = await getRun(store.prisma, id);
  const kept = await keptByRuns(store.prisma, { id: run.id });
  await deleteRows(store, run.id);
  if (kept.length === 0) return;
  const artifacts = await openArtifacts(dataDirectory);
  await removeUnused(store, kept, (sha256) => artifacts.remove(sha256));
}
