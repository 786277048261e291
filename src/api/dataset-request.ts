import { type DatasetRequest, datasets, maximumTexts } from "../text/datasets.ts";
import type { Dataset, DatasetInput } from "./types/job.ts";
import { requireAll } from "./validate.ts";

/**
 * What a client's choice of texts asks for.
 *
 * @throws EspalierError BAD_USER_INPUT naming the argument at fault, somewhere in `argument`
 */
export function datasetRequest(argument: string, { name, texts }: DatasetInput): DatasetRequest {
  requireAll([[argument, (name == null) !== (texts == null), "must have either a name or texts, and not both"]]);
  if (texts) {
    requireAll([
      [`${argument}.texts`, texts.length <= maximumTexts, `must be at most ${maximumTexts} documents`],
      [`${argument}.texts`, texts.some((text) => text.trim() !== ""), "must hold some text"],
    ]);
    return { texts };
  }
  const known = datasets.map((dataset) => dataset.name);
  requireAll([[`${argument}.name`, known.includes(name as string), `must be one of ${known.join(", ")}`]]);
  return { name: name as string };
}

/** What is told of the texts that a job used. */
export const toDataset = (request: DatasetRequest): Dataset =>
  "texts" in request ? { name: null, textCount: request.texts.length } : { name: request.name, textCount: null };
