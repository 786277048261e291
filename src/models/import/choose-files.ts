import { posix } from "node:path";
import { EspalierError } from "../../errors.ts";
import { oneModel, partsWith } from "../gguf/parts.ts";
import { graphs, isCompanion } from "../model-folder.ts";

/** Weights as Hugging Face saves them: one file, or many and an index of them. */
const isSafetensors = (path: string): boolean => /^model(?:-\d+-of-\d+)?\.safetensors$|^model\.safetensors\.index\.json$/.test(path);

/** What exporters call the file in which a graph keeps its weights: `model.onnx_data`, `model.onnx.data` and so on, or `model.data`. */
function isDataOf(graph: string, path: string): boolean {
  const [name, own] = [posix.basename(path), posix.basename(graph)];
  const called = (name.startsWith(own) && name !== own) || name === own.replace(/\.onnx$/, ".data");
  return called && posix.dirname(path) === posix.dirname(graph);
}

/**
 * Which files of a repository a model is made of: safetensors if there are any, else an ONNX graph with its data, else a GGUF file, or the parts of one;
 * and the configuration, tokenizer and so on beside them.
 *
 * @param place what they are of, for people
 * @param paths all there are
 * @param wanted those that a user chose, beside the configuration and so on; null if it was left open
 * @throws EspalierError FILE_NOT_FOUND for one that was chosen and is not there; MODEL_NOT_FOUND
 */
export function chooseFiles(place: string, paths: readonly string[], wanted: readonly string[] | null): string[] {
  const missing = wanted?.find((path) => !paths.includes(path));
  if (missing !== undefined)
    throw new EspalierError("FILE_NOT_FOUND", `${place} has no file ${JSON.stringify(missing.slice(0, 200))}`, {
      path: missing,
    });
  const chosen = (wanted ?? weightsAmong(paths)).flatMap((path) => presentParts(place, paths, path));
  if (chosen.length === 0)
    throw new EspalierError(
      "MODEL_NOT_FOUND",
      `${place} holds neither config.json with model.safetensors, nor ${graphs.slice(0, 2).join(" or ")}, nor a .gguf file of one model: name the files`,
      { files: paths.slice(0, 100) },
    );
  return [...new Set([...paths.filter(isCompanion), ...chosen])].sort();
}

function weightsAmong(paths: readonly string[]): readonly string[] {
  const safetensors = paths.includes("config.json") ? paths.filter(isSafetensors) : [];
  if (safetensors.length > 0) return safetensors;
  const graph = graphs.find((path) => paths.includes(path));
  if (graph) return [graph, ...paths.filter((path) => isDataOf(graph, path))];
  const gguf = paths.filter((path) => /^[^/]*\.gguf$/.test(path));
  return oneModel(gguf) ? gguf : [];
}

/** A file, and of one that was split all other parts. @throws EspalierError INVALID_GGUF naming one that is not there */
function presentParts(place: string, paths: readonly string[], path: string): readonly string[] {
  const parts = partsWith(path);
  const missing = parts.find((part) => !paths.includes(part));
  if (missing === undefined) return parts;
  throw new EspalierError("INVALID_GGUF", `the model was split into ${parts.length} files, and ${place} has no ${missing}`, {
    file: missing,
  });
}
