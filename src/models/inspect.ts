import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { unsupportedOperators } from "../autodiff/unsupported-operators.ts";
import { EspalierError } from "../errors.ts";
import { decode } from "../onnx/decode.ts";
import type { Model } from "../onnx/ir.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import { logitsOf } from "../onnx/signature.ts";
import { verify } from "../onnx/verify.ts";
import { openSession } from "../runtime/session.ts";
import { readModelConfig } from "../text/model-config.ts";
import { digestOf, storeFile } from "./artifact-store.ts";
import { describe } from "./describe.ts";
import { externalFiles, findModel, type ModelFolder } from "./model-folder.ts";
import type { InspectedModel, ModelFile } from "./types.ts";

export interface InspectRequest {
  readonly dataDirectory: string;
  /** The folder that models are read from under. */
  readonly modelRoot: string;
  /** A folder or a `.onnx` file, relative to the model root. */
  readonly path: string;
}

/** Gradient rules follow the forms that operators have had since then (axes as inputs). */
const oldestOpset = 13;

/**
 * Reads a model, checks all that registering it promises, then copies its files into the artifact store. Nothing is stored
 * of a model that is refused.
 *
 * @throws EspalierError PATH_OUTSIDE_MODEL_ROOT, MODEL_NOT_FOUND, FILE_TOO_LARGE, MISSING_EXTERNAL_DATA (model-folder.ts);
 *   INVALID_ONNX, INVALID_GRAPH; NO_TOKEN_INPUT, NO_LOGITS, UNSUPPORTED_INPUT, NO_STRUCTURES; UNSUPPORTED_OPSET;
 *   UNSUPPORTED_OPERATORS; ONNX_RUNTIME if ONNX Runtime does not load it
 */
export async function inspect({ dataDirectory, modelRoot, path }: InspectRequest): Promise<InspectedModel> {
  return store(dataDirectory, await findModel(modelRoot, path));
}

/** As `inspect`, for a folder of our own making. */
export const storeFolder = (dataDirectory: string, folder: string): Promise<InspectedModel> =>
  inspect({ dataDirectory, modelRoot: folder, path: "." });

async function store(dataDirectory: string, place: ModelFolder): Promise<InspectedModel> {
  const path = join(place.folder, place.graph);
  const model = decode(await readFile(path));
  verify(model);
  const { contextLength } = await readModelConfig(place.folder);
  const external = await externalFiles(model, place);
  // First: what operators are not known may be why no structures are found.
  refuseUnsupported(model);
  const facts = describe(model, tensorReader(dirname(path)), contextLength);
  const session = await openSession({ path }, { executionProvider: "CPU", threads: 1, lean: true });
  await session.close();

  const files: ModelFile[] = [];
  for (const name of [place.graph, ...external, ...place.companions])
    files.push({ path: name, ...(await storeFile(dataDirectory, join(place.folder, name))) });
  const sizes = await Promise.all([place.graph, ...external].map(async (name) => (await stat(join(place.folder, name))).size));
  return { digest: digestOf(files), files, sizeBytes: sizes.reduce((a, b) => a + b, 0), ...facts };
}

function refuseUnsupported(model: Model): void {
  const opset = model.opsets[""] ?? 0;
  if (opset < oldestOpset)
    throw new EspalierError("UNSUPPORTED_OPSET", `the model is of operator set ${opset}; export it anew with ${oldestOpset} or later`, {
      opset,
      oldestOpset,
    });
  const operators = unsupportedOperators(model.graph, logitsOf(model.graph.outputs).name);
  if (operators.length === 0) return;
  const list = operators.map(
    ({ operator, nodes }) => `${operator} (${nodes.slice(0, 3).join(", ")}${nodes.length > 3 ? `, and ${nodes.length - 3} more` : ""})`,
  );
  throw new EspalierError("UNSUPPORTED_OPERATORS", `the model's gradients cannot be had: there is no rule for ${list.join("; ")}`, {
    operators,
  });
}
