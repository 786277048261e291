import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { ModelFile } from "../artifacts/model-files.ts";
import { encode } from "../onnx/encode.ts";
import { bringIn } from "../onnx/file-references.ts";
import { dataTypes, type Model, sizeOf, type Tensor } from "../onnx/ir.ts";
import { type TensorReader, tensorReader } from "../onnx/read-tensor.ts";
import { besideGraph, writeData } from "../onnx/write-data.ts";
import { discover } from "../structures/discover.ts";
import { divide, type Known, removeStructures } from "../structures/divide.ts";
import { isDivided, type StructureId } from "../structures/structure.ts";
import { readJson, writeJson } from "../text/model-config.ts";
import { isCompanion } from "./model-folder.ts";
import { changesOf, prunedConfig, prunedGenaiConfig } from "./pruned-config.ts";

export interface ExportRequest {
  /** The base model, and the folder its files lie in. */
  readonly model: Model;
  readonly folder: string;
  readonly files: readonly Pick<ModelFile, "path">[];
  readonly removed: readonly StructureId[];
  /** What is left, and what has been found of the base; found anew where it is not given. */
  readonly known?: { readonly pruned: Model; readonly whole: Known };
  readonly destination: string;
}

/** The file beside the graph that takes weights which the base keeps outside its graph. */
const dataFile = (graph: string): string => `${graph}_data`;

/** Of other files than the graph: the base's card does not speak of its child, its configurations are adapted. */
const rewritten = new Set(["README.md", "config.json", "genai_config.json"]);

/**
 * Writes the folder of a pruned model: the rewritten graph, its weights (streamed, where the base keeps them in external
 * data, so that memory stays that of the graph), the configurations with what changed, tokenizer files as they are. The
 * same request gives the same bytes.
 *
 * @returns what users should know of it
 */
export async function exportPruned({ model, folder, files, removed, known, destination }: ExportRequest): Promise<string[]> {
  const graph = files.map((f) => f.path).find((p) => p.endsWith(".onnx")) as string;
  const { whole, pruned } = known ?? (await removedFrom(model, removed, tensorReader(dirname(join(folder, graph)))));
  await writeGraph(besideGraph(model.graph, basename(graph)), pruned, folder, files, destination);
  const beside = await copyBeside(folder, files, destination, rewritten);
  const changes = changesOf(whole.anatomy, whole.divided?.groups ?? [], removed);
  const rewrite = async (path: string, state: (config: Record<string, unknown>) => Record<string, unknown> | null): Promise<boolean> => {
    if (!beside.includes(path)) return true;
    const stated = state((await readJson(folder, path)) ?? {});
    if (stated) await writeFile(join(destination, path), `${writeJson(stated)}\n`);
    return stated !== null;
  };
  await rewrite("config.json", (config) => prunedConfig(config, changes));
  const stated = await rewrite("genai_config.json", (config) => prunedGenaiConfig(config, changes, graph));
  return stated ? [] : ["genai_config.json was left out: it has one number of heads for all layers, and these are left with unlike ones"];
}

export interface ReweightedRequest extends Pick<ExportRequest, "model" | "folder" | "files" | "destination"> {
  /** The same graph with other weights. */
  readonly healed: Model;
}

/** Writes the folder of a model with other weights: all else is as it is there, but for the card, which does not speak of it. */
export async function exportReweighted({ model, healed, folder, files, destination }: ReweightedRequest): Promise<void> {
  await writeGraph(besideGraph(model.graph), healed, folder, files, destination);
  await copyBeside(folder, files, destination, new Set(["README.md"]));
}

export interface CompressedRequest extends Pick<ExportRequest, "folder" | "files" | "destination"> {
  /** Another graph, with other weights. */
  readonly compressed: Model;
}

/** Smaller tensors stay in the graph. */
const leastBeside = 4096;

/** Writes the folder of a compressed model: its weights beside its graph, all else as it is there, but for the card. */
export async function exportCompressed({ compressed, folder, files, destination }: CompressedRequest): Promise<void> {
  const isLarge = ({ dims, dataType }: Tensor) => sizeOf(dims) * dataTypes[dataType].bytes >= leastBeside;
  await writeGraph(isLarge, compressed, folder, files, destination);
  await copyBeside(folder, files, destination, new Set(["README.md"]));
}

/**
 * @param isBeside of a tensor, whether it goes to a file beside the graph
 * @returns its file, relative to the folder
 */
async function writeGraph(
  isBeside: (tensor: Tensor) => boolean,
  written: Model,
  folder: string,
  files: ExportRequest["files"],
  destination: string,
): Promise<string> {
  const graph = files.map((f) => f.path).find((p) => p.endsWith(".onnx")) as string;
  await mkdir(dirname(join(destination, graph)), { recursive: true });
  const data = join(destination, dataFile(graph));
  const source = dirname(join(folder, graph));
  const stored = await writeData(written.graph, isBeside, source, data);
  // What a graph holds and was left in its file goes into the new one.
  const held = bringIn(stored, basename(graph), tensorReader(source));
  await writeFile(join(destination, graph), encode({ ...written, graph: held }));
  return graph;
}

/** Copies what lies beside a graph, but for files that are left out. @returns the files that there are, those too */
async function copyBeside(
  folder: string,
  files: ExportRequest["files"],
  destination: string,
  without: ReadonlySet<string>,
): Promise<string[]> {
  const beside = files.map((f) => f.path).filter(isCompanion);
  for (const path of beside) {
    if (without.has(path)) continue;
    await mkdir(dirname(join(destination, path)), { recursive: true });
    await copyFile(join(folder, path), join(destination, path));
  }
  return beside;
}

async function removedFrom(
  model: Model,
  removed: readonly StructureId[],
  read: TensorReader,
): Promise<{ readonly pruned: Model; readonly whole: Known }> {
  const { anatomy, parameters } = discover(model, read);
  const whole = { anatomy, divided: removed.some(isDivided) ? await divide(model, anatomy, parameters) : null };
  return { whole, pruned: await removeStructures(model, removed, read, whole) };
}
