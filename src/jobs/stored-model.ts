import type { StoredModel } from "../compute/tasks.ts";
import { getModel, modelFiles, taskOfModel } from "../store/models.ts";
import type { Store } from "../store/store.ts";

/**
 * A model as a compute process needs it.
 *
 * @throws EspalierError MODEL_NOT_FOUND
 */
export async function storedModel(
  { store, dataDirectory }: { readonly store: Store; readonly dataDirectory: string },
  modelId: string | null,
): Promise<StoredModel> {
  const { id, digest, architecture } = await getModel(store.prisma, modelId ?? "");
  const { vocabularySize } = architecture;
  return { dataDirectory, digest, files: await modelFiles(store.prisma, id), vocabularySize, task: taskOfModel({ architecture }) };
}
