import { type DatasetCandidate, type DatasetServices, datasetFrom, datasetOf } from "./register-dataset.ts";
import { blaming, requireAll } from "./validate.ts";

/** Which dataset to use: one that is stored or comes with the program, or one's own texts. */
export interface DatasetChoice {
  readonly id?: string | null;
  readonly name?: string | null;
  readonly texts?: readonly string[] | null;
}

/**
 * The dataset that was chosen; texts become one. Nothing is stored yet.
 *
 * @throws EspalierError BAD_USER_INPUT naming the argument at fault, somewhere in `argument`; DATASET_NOT_FOUND; INVALID_DATASET
 */
export function chosenDataset(
  services: Omit<DatasetServices, "datasetRoot">,
  argument: string,
  { id, name, texts }: DatasetChoice,
): Promise<DatasetCandidate> {
  const given = [id, name, texts].filter((choice) => choice != null);
  requireAll([[argument, given.length === 1, "must have exactly one of id, name and texts"]]);
  if (texts != null) return blaming(`${argument}.texts`, datasetFrom(services, texts, null));
  return id != null
    ? blaming(`${argument}.id`, datasetOf(services, { id }))
    : blaming(`${argument}.name`, datasetOf(services, { name: name as string }));
}
