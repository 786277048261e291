import { computeOnce } from "../compute/compute-once.ts";
import type { StoredDataset } from "../compute/stored-dataset.ts";
import { EspalierError } from "../errors.ts";
import { type DatasetRecord, findOverlap, recordOverlap } from "../store/datasets.ts";
import type { Store } from "../store/store.ts";
import type { DatasetContent } from "../text/dataset-content.ts";
import type { Overlap } from "../text/overlap.ts";

/** A dataset to measure on. */
interface Measured {
  /** Null until it is stored. */
  readonly id: string | null;
  readonly records: StoredDataset | DatasetContent;
}

/** Speakers quote each other, and tasks ask alike: of the built-in datasets 1.2% of the held-out passages are quotations. */
const tolerated = 0.02;

/**
 * How much of a dataset a model has been pruned, healed or compressed with, itself or as its ancestors: the share of its passages that are in
 * calibration texts too. What a method was calibrated on says little about what it lost.
 *
 * @param calibrations what it was pruned, healed and compressed with, or will have been
 * @param allow tell, but do not refuse
 * @throws EspalierError DATASET_OVERLAP if more than 2% is, naming the calibration dataset; OVERLOADED; the signal's reason
 */
export async function checkOverlap(
  services: { readonly store: Store; readonly dataDirectory: string },
  calibrations: readonly DatasetRecord[],
  dataset: Measured,
  allow: boolean,
  signal: AbortSignal,
): Promise<number> {
  let most = 0;
  for (const calibration of calibrations) {
    const { ratio, example } = await overlap(services, dataset, calibration, signal);
    most = Math.max(most, ratio);
    if (ratio <= tolerated || allow) continue;
    const share = `${(100 * ratio).toFixed(1)}%`;
    throw new EspalierError(
      "DATASET_OVERLAP",
      `${share} of the dataset's passages are in the texts that the model was pruned, healed or compressed with (${calibration.name ?? calibration.id})${example ? `, for instance "${example}"` : ""}: ` +
        "measure it on other texts, or say that overlap is allowed (allowOverlap: true)",
      { overlapRatio: ratio, calibrationDatasetId: calibration.id },
    );
  }
  return most;
}

/** Worked out in a process of its own, for it takes seconds of large texts, and once: neither dataset changes. */
async function overlap(
  { store, dataDirectory }: { readonly store: Store; readonly dataDirectory: string },
  { id, records }: Measured,
  other: DatasetRecord,
  signal: AbortSignal,
): Promise<Overlap> {
  if (id === other.id) return { ratio: 1, example: null };
  const known = id && (await findOverlap(store.prisma, id, other.id));
  if (known) return known;
  const found = await computeOnce("overlap", { dataset: records, other: { dataDirectory, digest: other.digest } }, signal);
  if (id) await recordOverlap(store.prisma, id, other.id, found);
  return found;
}
