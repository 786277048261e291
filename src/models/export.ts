import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { encode } from "../onnx/encode.ts";
import type { Model } from "../onnx/ir.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import { besideGraph, writeData } from "../onnx/write-data.ts";
import { discover } from "../structures/discover.ts";
import { divide, removeStructures } from "../structures/divide.ts";
import { isDivided, type StructureId } from "../structures/structure.ts";
import { readJson, writeJson } from "../text/model-config.ts";
import { prunedConfig } from "./pruned-config.ts";
import type { ModelFile } from "./types.ts";

export interface ExportRequest {
  /** The base model, and the folder its files lie in. */
  readonly model: Model;
  readonly folder: string;
  readonly files: readonly Pick<ModelFile, "path">[];
  readonly removed: readonly StructureId[];
  /** What is left, where that is known already or more was done than removing. */
  readonly pruned?: Model;
  readonly destination: string;
}

/** The file beside the graph that takes weights which the base keeps outside its graph. */
const dataFile = (graph: string): string => `${graph}_data`;

/** What other files than the graph become: the base's card does not speak of its child, its configuration is adapted. */
const rewritten = new Set(["README.md", "config.json"]);

/**
 * Writes the folder of a pruned model: the rewritten graph, its weights (streamed, where the base keeps them in external
 * data, so that memory stays that of the graph), the configuration with what changed, tokenizer files as they are. The
 * same request gives the same bytes.
 */
export async function exportPruned({ model, folder, files, removed, pruned: known, destination }: ExportRequest): Promise<void> {
  const graph = files.map((f) => f.path).find((p) => p.endsWith(".onnx")) as string;
  await mkdir(dirname(join(destination, graph)), { recursive: true });
  const read = tensorReader(dirname(join(folder, graph)));
  const { anatomy, parameters } = discover(model, read);
  const divided = removed.some(isDivided) ? await divide(model, anatomy, parameters) : undefined;
  const pruned = known ?? (await removeStructures(model, removed, read, divided));
  const data = join(destination, dataFile(graph));
  const written = await writeData(pruned.graph, besideGraph(model.graph), dirname(join(folder, graph)), data);
  await writeFile(join(destination, graph), encode({ ...pruned, graph: written }));

  const external = new Set(
    [...model.graph.initializers.values()].flatMap((t) => (t.data.kind === "external" ? [join(dirname(graph), t.data.location)] : [])),
  );
  for (const { path } of files) {
    if (path === graph || external.has(path) || rewritten.has(path)) continue;
    await mkdir(dirname(join(destination, path)), { recursive: true });
    await copyFile(join(folder, path), join(destination, path));
  }
  if (files.some((f) => f.path === "config.json")) {
    const config = (await readJson(folder, "config.json")) ?? {};
    await writeFile(join(destination, "config.json"), `${writeJson(prunedConfig(config, anatomy, divided?.groups ?? [], removed))}\n`);
  }
}
