import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { decode } from "./decode.ts";
import { referToFile } from "./file-references.ts";
import type { Model } from "./ir.ts";
import { bringInSmall } from "./passes/bring-in-small.ts";
import { canonical } from "./passes/canonical.ts";
import { tensorReader } from "./read-tensor.ts";

/**
 * A stored model's graph in canonical form. Its files have been checked when it was registered.
 *
 * @param path of its ONNX file, which stays as it is
 * @param weights `IN_FILE` leaves them where they lie, for a session to map; `IN_MEMORY` makes them views of the file's bytes
 * @throws EspalierError INVALID_ONNX; MISSING_EXTERNAL_DATA
 */
export async function readModel(path: string, weights: "IN_MEMORY" | "IN_FILE"): Promise<Model> {
  const file = await readFile(path);
  const model = bringInSmall(canonical(decode(file)).model, tensorReader(dirname(path)));
  return weights === "IN_FILE" ? referToFile(model, file, basename(path)) : model;
}
