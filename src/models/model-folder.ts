import { readdir, realpath } from "node:fs/promises";
import { basename, dirname, join, posix, relative } from "node:path";
import { EspalierError } from "../errors.ts";
import type { Graph, Model, Tensor } from "../onnx/ir.ts";
import { leadsOut, placeUnder, within } from "../under-root.ts";
import { weightFiles } from "./blueprints/stored-weights.ts";
import { oneModel, partsWith } from "./gguf/parts.ts";

/** A model as files: a folder in the Hugging Face layout, or a graph alone. */
export interface ModelFolder {
  /** The real path of the folder that no file may lie outside of. */
  readonly root: string;
  /** Absolute. */
  readonly folder: string;
  /** The graph, relative to the folder: `onnx/model.onnx`, `model.onnx`, or the file that was named. */
  readonly graph: string;
  /** Whether there is no such file, and the graph is built over the folder's `.safetensors` by what its config.json says. */
  readonly built?: boolean;
  /** The GGUF file, or the parts of one that was split, relative to the folder, of which a folder with weights is to be made; then there is nothing else yet. */
  readonly gguf?: readonly string[];
  /** Files beside the graph that belong to the model, relative to the folder. */
  readonly companions: readonly string[];
}

const largestTemplate = 1 << 20;

/** The files of the Hugging Face layout that say how to use a model, with the largest size they may sensibly have. */
const companions: Readonly<Record<string, number>> = {
  "README.md": 1 << 20,
  LICENSE: 1 << 20,
  "config.json": 1 << 20,
  "generation_config.json": 1 << 20,
  "genai_config.json": 1 << 20,
  "quantize_config.json": 1 << 20,
  "tokenizer.json": 64 << 20,
  "tokenizer.model": 64 << 20,
  "tokenizer_config.json": 4 << 20,
  "special_tokens_map.json": 1 << 20,
  "added_tokens.json": 4 << 20,
  "vocab.json": 64 << 20,
  "merges.txt": 64 << 20,
  "modules.json": 1 << 20,
  "1_Pooling/config.json": 1 << 20,
  "sentence_bert_config.json": 1 << 20,
  "config_sentence_transformers.json": 1 << 20,
  "chat_template.jinja": largestTemplate,
  "chat_template.json": 1 << 20,
};

/** A folder of templates beside `chat_template.jinja`, one a file; each may be as large as that. */
const templates = "additional_chat_templates";
const isTemplate = (path: string): boolean => posix.dirname(path) === templates && path.endsWith(".jinja");
const mostTemplates = 50;

/** Whether a file of a model is neither its graph nor its weights. */
export const isCompanion = (path: string): boolean => Object.hasOwn(companions, path) || isTemplate(path);

/** Companions that speak of a model in whatever form it comes. */
const aboutAnyForm: ReadonlySet<string> = new Set(["README.md", "LICENSE"]);

/** In the order in which they are looked for. Optimum's decoder merged of two reads a cache or none, as `model.onnx` of others does. */
export const graphs = ["onnx/model.onnx", "model.onnx", "onnx/decoder_model_merged.onnx", "decoder_model_merged.onnx"];

/** The size of a regular file under `root`, or null: a pipe or a device is no file to wait for. */
async function sizeWithin(root: string, path: string): Promise<number | null> {
  const found = await within(root, path, "MODEL");
  return found?.isFile() ? found.size : null;
}

/**
 * Finds the files of the model at `path` under the model root.
 *
 * @throws EspalierError PATH_OUTSIDE_MODEL_ROOT; MODEL_NOT_FOUND; FILE_TOO_LARGE if a companion file is absurdly large
 */
export async function findModel(modelRoot: string, path: string): Promise<ModelFolder> {
  const root = await realpath(modelRoot);
  const place = placeUnder(root, path, "MODEL");
  const found = await within(root, place, "MODEL");
  if (found === null) throw new EspalierError("MODEL_NOT_FOUND", `there is nothing at "${path}" under the model root`, { path });
  if (found.isFile() && place.endsWith(".onnx")) return folderAround(root, place);
  if (found.isFile() && place.endsWith(".gguf"))
    return {
      root,
      folder: dirname(place),
      graph: "model.onnx",
      gguf: await allParts(root, dirname(place), basename(place)),
      companions: [],
    };
  if (!found.isDirectory()) throw new EspalierError("MODEL_NOT_FOUND", `"${path}" is neither a folder nor a .onnx or .gguf file`, { path });
  for (const graph of graphs)
    if ((await sizeWithin(root, join(place, graph))) !== null)
      return { root, folder: place, graph, companions: await companionsIn(root, place) };
  const weights = (await sizeWithin(root, join(place, "config.json"))) === null ? null : await weightFiles({ root, folder: place });
  if (weights) return { root, folder: place, graph: "model.onnx", built: true, companions: await companionsIn(root, place) };
  const ggufs = await filesIn(root, place, ".gguf");
  const beside = [
    ...(await filesIn(root, place, ".onnx")),
    ...(await filesIn(root, join(place, "onnx"), ".onnx")).map((name) => `onnx/${name}`),
  ];
  if (oneModel(ggufs) && beside.length === 0) {
    const own = (await companionsIn(root, place)).filter((name) => aboutAnyForm.has(name));
    return { root, folder: place, graph: "model.onnx", gguf: await allParts(root, place, ggufs[0] as string), companions: own };
  }
  const there = [...beside, ...ggufs].slice(0, 20);
  const instead =
    there.length > 0
      ? `; it holds ${there.join(", ")}: name the one you mean, "${posix.join(path, there[0] as string)}"`
      : ", nor config.json with model.safetensors, nor a .gguf file";
  throw new EspalierError(
    "MODEL_NOT_FOUND",
    `the folder${path === "." ? "" : ` "${path}"`} holds neither ${graphs.slice(0, 2).join(" nor ")}${instead}`,
    {
      path,
      graphs: there,
    },
  );
}

/** A graph that was named itself, with the configuration and tokenizer of the folder that it lies in, or in whose `onnx` it does. */
async function folderAround(root: string, file: string): Promise<ModelFolder> {
  const beside = dirname(file);
  const above = basename(beside) === "onnx" && beside !== root ? [dirname(beside)] : [];
  for (const folder of [...above, beside]) {
    const names = await companionsIn(root, folder);
    // A README alone may be of anything.
    if (names.some((name) => name.endsWith(".json"))) return { root, folder, graph: posix.relative(folder, file), companions: names };
  }
  return { root, folder: beside, graph: basename(file), companions: [] };
}

async function companionsIn(root: string, folder: string): Promise<string[]> {
  const more = (await namesIn(root, join(folder, templates))).map((name) => posix.join(templates, name)).filter(isTemplate);
  const limits = [...Object.entries(companions), ...more.slice(0, mostTemplates).map((name) => [name, largestTemplate] as const)];
  const names: string[] = [];
  for (const [name, limit] of limits) {
    const size = await sizeWithin(root, join(folder, name));
    if (size === null) continue;
    if (size > limit)
      throw new EspalierError("FILE_TOO_LARGE", `${name} has ${size} bytes; at most ${limit} make sense`, { file: name, sizeBytes: size });
    names.push(name);
  }
  return names;
}

/** A GGUF file with all other parts of the same model. @throws EspalierError INVALID_GGUF naming one that is not there */
async function allParts(root: string, folder: string, name: string): Promise<readonly string[]> {
  const parts = partsWith(name);
  for (const file of parts)
    if ((await sizeWithin(root, join(folder, file))) === null)
      throw new EspalierError("INVALID_GGUF", `the model was split into ${parts.length} files, and ${file} is not beside ${name}`, {
        file,
      });
  return parts;
}

/** Names of the first files of a kind in a folder under the root. */
async function filesIn(root: string, folder: string, ending: ".onnx" | ".gguf"): Promise<string[]> {
  const names = (await namesIn(root, folder)).filter((name) => name.endsWith(ending)).slice(0, 1000);
  const sizes = await Promise.all(names.map((name) => sizeWithin(root, join(folder, name)).catch(() => null)));
  return names.filter((_, i) => sizes[i] !== null);
}

/** In order; none where there is no such folder. */
async function namesIn(root: string, folder: string): Promise<string[]> {
  return (await within(root, folder, "MODEL"))?.isDirectory() ? (await readdir(folder)).sort() : [];
}

/**
 * The files of external data that a graph names, relative to the model's folder.
 *
 * @throws EspalierError MISSING_EXTERNAL_DATA if one is absent or too short; PATH_OUTSIDE_MODEL_ROOT if one lies outside the folder
 */
export async function externalFiles(model: Model, { root, folder, graph }: ModelFolder): Promise<string[]> {
  const needed = new Map<string, number>();
  for (const t of tensorsOf(model.graph)) {
    if (t.data.kind !== "external") continue;
    const { location, offset, length } = t.data;
    needed.set(location, Math.max(needed.get(location) ?? 0, offset + length));
  }
  const files: string[] = [];
  for (const [location, bytes] of needed) {
    const path = posix.join(posix.dirname(graph), location);
    if (posix.isAbsolute(location) || leadsOut(path) || /[\\\0]/.test(location))
      throw new EspalierError("PATH_OUTSIDE_MODEL_ROOT", `external data "${location}" lies outside the model's folder`, { location });
    const size = await sizeWithin(root, join(folder, path));
    if (size === null)
      throw new EspalierError("MISSING_EXTERNAL_DATA", `the graph keeps weights in "${location}", which is not beside it`, { location });
    if (size < bytes)
      throw new EspalierError("MISSING_EXTERNAL_DATA", `"${location}" has ${size} bytes, but the graph reads up to byte ${bytes}`, {
        location,
        sizeBytes: size,
        needed: bytes,
      });
    files.push(path);
  }
  return files;
}

/**
 * The same model with its external data named from the root, links resolved. ONNX Runtime follows no link out of the folder that
 * it is given, as those of a hub's cache lead.
 */
export async function namedFromRoot(model: Model, { root, folder, graph }: ModelFolder): Promise<Model> {
  const locations = new Set(
    [...model.graph.initializers.values()].flatMap(({ data }) => (data.kind === "external" ? [data.location] : [])),
  );
  const real = new Map<string, string>();
  for (const location of locations) real.set(location, relative(root, await realpath(join(folder, dirname(graph), location))));
  const named = ({ data, ...rest }: Tensor): Tensor =>
    data.kind === "external" ? { ...rest, data: { ...data, location: real.get(data.location) as string } } : { ...rest, data };
  return { ...model, graph: { ...model.graph, initializers: new Map([...model.graph.initializers].map(([name, t]) => [name, named(t)])) } };
}

/** Of bodies of control flow too. */
function* tensorsOf(graph: Graph): Iterable<Tensor> {
  yield* graph.initializers.values();
  for (const node of graph.nodes)
    for (const a of Object.values(node.attributes))
      if (a.kind === "tensor") yield a.value;
      else if (a.kind === "graph") yield* tensorsOf(a.value);
}
