import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, posix, relative, resolve, sep } from "node:path";
import { EspalierError } from "../../errors.ts";
import { chooseFiles } from "../../models/import/choose-files.ts";
import { sha256OfStream } from "../../sha256-of-stream.ts";
import { unlessAbsent } from "../../unless-absent.ts";

/** A file of this machine, and what it is called in the model's folder. */
export interface LocalFile {
  readonly place: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** Folders within folders, so many deep: a model's are one. */
const deepest = 3;

/**
 * The files that make the model at a path: of a folder those that a server reads, of an `.onnx` file its data and what lies beside it too.
 *
 * @returns null where there is nothing
 * @throws EspalierError MODEL_NOT_FOUND if the folder holds no model
 */
export async function filesOf(folder: string, model: string): Promise<readonly LocalFile[] | null> {
  const place = resolve(folder, model);
  const found = await stat(place).catch(unlessAbsent);
  if (found === null) return null;
  if (found.isFile() && !place.endsWith(".onnx")) {
    if (/\.(?:gguf|tar|zip)$/i.test(place)) {
      const beside = (await readdir(dirname(place))).filter((name) => name.endsWith(".gguf"));
      const names = place.endsWith(".gguf") ? chooseFiles(`the folder of ${model}`, beside, [basename(place)]) : [basename(place)];
      return Promise.all(names.map((name) => described(join(dirname(place), name), name)));
    }
    throw new EspalierError("MODEL_NOT_FOUND", `${model} is neither a folder nor a .onnx, .gguf, .tar or .zip file`, { model });
  }
  const above = dirname(place);
  const root = found.isDirectory() ? place : basename(above) === "onnx" ? dirname(above) : above;
  const paths = (await pathsUnder(root)).map((path) => relative(root, path).split(sep).join("/"));
  const graph = found.isDirectory() ? null : relative(root, place).split(sep).join("/");
  const wanted = graph === null ? null : paths.filter((path) => path === graph || isBeside(graph, path));
  return Promise.all(chooseFiles(`the folder ${model}`, paths, wanted).map((path) => described(join(root, path), path)));
}

/** What a graph may keep its weights in: whatever lies beside it and is called after it, or like weights. */
const isBeside = (graph: string, path: string): boolean =>
  posix.dirname(path) === posix.dirname(graph) &&
  (posix.basename(path).startsWith(posix.basename(graph)) || /\.(?:data|bin|safetensors)$/.test(path));

async function pathsUnder(folder: string, depth = 0): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const inner = await Promise.all(
    entries.map(async (entry) => {
      const place = join(folder, entry.name);
      // A Hub's cache consists of links.
      const found = entry.isSymbolicLink() ? await stat(place).catch(unlessAbsent) : entry;
      if (found?.isFile()) return [place];
      return found?.isDirectory() && depth < deepest && !entry.name.startsWith(".") ? pathsUnder(place, depth + 1) : [];
    }),
  );
  return inner.flat();
}

async function described(place: string, path: string): Promise<LocalFile> {
  return { place, path, ...(await sha256OfStream(createReadStream(place, { highWaterMark: 1 << 20 }))) };
}
