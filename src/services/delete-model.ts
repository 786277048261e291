import { rm } from "node:fs/promises";
import { openArtifacts } from "../artifacts/artifacts.ts";
import { folderOf } from "../artifacts/model-files.ts";
import { deleteModel as deleteRows, removeUnused } from "../store/models.ts";
import type { Store } from "../store/store.ts";

/**
 * Deletes a model, its exports and the files that only it has. If that is cut short, files are left that `npm run fsck` finds.
 *
 * @throws EspalierError MODEL_NOT_FOUND, MODEL_HAS_DESCENDANTS, MODEL_IN_USE; nothing is deleted then
 */
export async function deleteModel(
  { store, dataDirectory }: { readonly store: Store; readonly dataDirectory: string },
  id: string,
  keepDescendants: boolean,
): Promise<void> {
  const { digest, sha256s } = await deleteRows(store, id, keepDescendants);
  const artifacts = await openArtifacts(dataDirectory);
  await removeUnused(store, sha256s, (sha256) => artifacts.remove(sha256));
  if (digest !== null) await rm(folderOf(dataDirectory, digest), { recursive: true, force: true });
}
