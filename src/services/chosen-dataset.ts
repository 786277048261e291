import { blaming } from "../rules/validate.ts";
import type { DatasetReference } from "../store/datasets.ts";
import { type DatasetCandidate, type DatasetServices, datasetFrom, datasetOf } from "./register-dataset.ts";

/** Which dataset to use: one that is stored or comes with the program, or one's own texts. */
export type DatasetChoice = DatasetReference | { readonly texts: readonly string[] };

/**
 * The dataset that was chosen; texts become one. Nothing is stored yet.
 *
 * @throws EspalierError DATASET_NOT_FOUND, INVALID_DATASET, naming the argument at fault in `argument`
 */
export function chosenDataset(
  services: Omit<DatasetServices, "datasetRoot">,
  argument: string,
  choice: DatasetChoice,
): Promise<DatasetCandidate> {
  if ("texts" in choice) return blaming(`${argument}.texts`, datasetFrom(services, choice.texts, null));
  return blaming(`${argument}.${"id" in choice ? "id" : "name"}`, datasetOf(services, choice));
}
