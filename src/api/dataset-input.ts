import { type DatasetCandidate, datasetFrom, datasetOf } from "../services/register-dataset.ts";
import type { Context } from "./context.ts";
import type { DatasetInput } from "./types/dataset.ts";
import { blaming, requireAll } from "./validate.ts";

/**
 * The dataset that a client chose; its own texts become one. Nothing is stored yet.
 *
 * @throws EspalierError BAD_USER_INPUT naming the argument at fault, somewhere in `argument`; DATASET_NOT_FOUND; INVALID_DATASET
 */
export function datasetFor(context: Context, argument: string, { id, name, texts }: DatasetInput): Promise<DatasetCandidate> {
  const given = [id, name, texts].filter((choice) => choice != null);
  requireAll([[argument, given.length === 1, "must have exactly one of id, name and texts"]]);
  if (texts != null) return blaming(`${argument}.texts`, datasetFrom(context, texts, null));
  return id != null
    ? blaming(`${argument}.id`, datasetOf(context, { id }))
    : blaming(`${argument}.name`, datasetOf(context, { name: name as string }));
}
