import { openArtifacts } from "../artifacts/artifacts.ts";
import { deleteExport as deleteRows } from "../store/exports.ts";
import { removeUnused } from "../store/models.ts";
import type { Store } from "../store/store.ts";

/**
 * Deletes an export with the run that wrote it, and the files that only it has. If that is cut short, files are left that `npm run fsck` finds.
 *
 * @throws EspalierError EXPORT_NOT_FOUND; nothing is deleted then
 */
export async function deleteExport(
  { store, dataDirectory }: { readonly store: Store; readonly dataDirectory: string },
  id: string,
): Promise<void> {
  const sha256s = await deleteRows(store, id);
  const artifacts = await openArtifacts(dataDirectory);
  await removeUnused(store, sha256s, (sha256) => artifacts.remove(sha256));
}
