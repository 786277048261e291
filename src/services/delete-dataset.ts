import { openArtifacts } from "../artifacts/artifacts.ts";
import { blaming } from "../rules/validate.ts";
import { deleteDataset as deleteRows } from "../store/datasets.ts";
import { removeUnused } from "../store/models.ts";
import type { Store } from "../store/store.ts";
import { requireOwnDataset } from "./update-dataset.ts";

/**
 * Deletes a dataset, and its records if nothing else has them. If that is cut short, a file is left that `npm run fsck` finds.
 *
 * @throws EspalierError DATASET_NOT_FOUND, DATASET_IN_USE; BAD_USER_INPUT for one that comes with the server; nothing is deleted then
 */
export async function deleteDataset(
  { store, dataDirectory }: { readonly store: Store; readonly dataDirectory: string },
  id: string,
): Promise<void> {
  await requireOwnDataset(store, id);
  const digest = await blaming("input.id", deleteRows(store, id));
  const artifacts = await openArtifacts(dataDirectory);
  await removeUnused(store, [digest], (sha256) => artifacts.remove(sha256));
}
