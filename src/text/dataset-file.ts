import { readFile, realpath } from "node:fs/promises";
import { extname } from "node:path";
import { EspalierError } from "../errors.ts";
import { placeUnder, within } from "../under-root.ts";
import { type DatasetContent, datasetExtensions, maximumBytes, parseDataset } from "./dataset-content.ts";

/**
 * Reads a file of texts or items from under the dataset root.
 *
 * @param name what users know it by; its ending says how it is read
 * @throws EspalierError PATH_OUTSIDE_DATASET_ROOT; DATASET_FILE_NOT_FOUND; INVALID_DATASET if it is too large or cannot be read as
 *   what its name says
 */
export async function readDatasetFile(datasetRoot: string, path: string, name: string = path): Promise<DatasetContent> {
  const root = await realpath(datasetRoot).catch(() => null);
  if (root === null) throw new EspalierError("DATASET_FILE_NOT_FOUND", "the server's dataset root does not exist", { path });
  const place = placeUnder(root, path, "DATASET");
  const found = await within(root, place, "DATASET");
  if (!found?.isFile()) throw new EspalierError("DATASET_FILE_NOT_FOUND", `there is no file "${path}" under the dataset root`, { path });
  if (!datasetExtensions.includes(extname(name).toLowerCase()))
    throw new EspalierError("INVALID_DATASET", `"${name}" is no dataset: those end in ${datasetExtensions.join(", ")}`, { path: name });
  if (found.size > maximumBytes)
    throw new EspalierError("INVALID_DATASET", `"${name}" has ${found.size} bytes; at most ${maximumBytes} are taken`, {
      path: name,
      sizeBytes: found.size,
    });
  return parseDataset(extname(name), await readFile(place));
}
