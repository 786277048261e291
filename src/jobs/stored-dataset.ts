import type { StoredDataset } from "../compute/stored-dataset.ts";
import { EspalierError } from "../errors.ts";
import { getDataset } from "../store/datasets.ts";
import type { Store } from "../store/store.ts";

/**
 * A job's dataset as a compute process needs it.
 *
 * @throws EspalierError DATASET_NOT_FOUND for a job from before datasets were recorded
 */
export async function storedDataset(
  { store, dataDirectory }: { readonly store: Store; readonly dataDirectory: string },
  datasetId: string | null,
): Promise<StoredDataset> {
  if (datasetId === null)
    throw new EspalierError("DATASET_NOT_FOUND", "the job was asked for by an earlier version, which kept no datasets: ask for it again");
  const { digest } = await getDataset(store.prisma, { id: datasetId });
  return { dataDirectory, digest };
}
