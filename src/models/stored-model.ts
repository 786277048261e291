import { basename, dirname, join } from "node:path";
import type { ModelFile } from "../artifacts/model-files.ts";
import { materialise } from "../artifacts/model-files.ts";
import { EspalierError } from "../errors.ts";
import { bringIn } from "../onnx/file-references.ts";
import type { Model } from "../onnx/ir.ts";
import { readModel } from "../onnx/read-model.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import { discover } from "../structures/discover.ts";

/** A stored model as a graph to work on. */
export interface OpenModel {
  readonly model: Model;
  readonly folder: string;
  /** Its file, relative to the folder. */
  readonly graph: string;
  /** Where its external data lies. */
  readonly graphFolder: string;
}

/**
 * @param weights as `readModel` has them
 * @throws EspalierError ARTIFACT_MISSING; GRAPH_MISSING if none of its files is a graph
 */
export async function openStoredModel(
  stored: { readonly dataDirectory: string; readonly digest: string; readonly files: readonly ModelFile[] },
  weights: "IN_MEMORY" | "IN_FILE" = "IN_MEMORY",
): Promise<OpenModel> {
  const graph = stored.files.find((f) => f.path.endsWith(".onnx"))?.path;
  if (graph === undefined) throw new EspalierError("GRAPH_MISSING", "none of the model's files is a .onnx file");
  const folder = await materialise(stored);
  const path = join(folder, graph);
  return { model: await readModel(path, weights), folder, graph, graphFolder: dirname(path) };
}

/**
 * The same with its weights left in their files, which sessions map, and with large constants that are no weights in the graph: what follows from those is
 * folded, as of any constant.
 *
 * @throws EspalierError what `openStoredModel` and `discover` throw
 */
export async function openForPruning(stored: Parameters<typeof openStoredModel>[0]): Promise<OpenModel> {
  const opened = await openStoredModel(stored, "IN_FILE");
  const { model, graph, graphFolder } = opened;
  const read = tensorReader(graphFolder);
  const { parameters } = discover(model, read);
  return { ...opened, model: { ...model, graph: bringIn(model.graph, basename(graph), read, (name) => parameters.has(name)) } };
}
