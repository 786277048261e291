import { createReadStream } from "node:fs";
import { copyFile, mkdir, open, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { encode } from "../onnx/encode.ts";
import type { Model, Tensor } from "../onnx/ir.ts";
import { anatomyOf } from "../structures/anatomy.ts";
import { remove } from "../structures/remove.ts";
import { type StructureId, structureKey } from "../structures/structure.ts";
import type { ModelFile } from "./types.ts";

export interface ExportRequest {
  /** The base model, and the folder its files lie in. */
  readonly model: Model;
  readonly folder: string;
  readonly files: readonly Pick<ModelFile, "path">[];
  readonly removed: readonly StructureId[];
  readonly destination: string;
}

/** The file beside the graph that takes weights which the base keeps outside its graph. */
const dataFile = (graph: string): string => `${graph}_data`;

/** Weights in a data file begin where memory pages do, so that each can be mapped by itself. */
const alignment = 4096;

/** What other files than the graph become: the base's card does not speak of its child, its configuration is adapted. */
const rewritten = new Set(["README.md", "config.json"]);

/**
 * Writes the folder of a pruned model: the rewritten graph, its weights (streamed, where the base keeps them in external
 * data, so that memory stays that of the graph), the configuration with what changed, tokenizer files as they are. The
 * same request gives the same bytes.
 */
export async function exportPruned({ model, folder, files, removed, destination }: ExportRequest): Promise<void> {
  const graph = files.map((f) => f.path).find((p) => p.endsWith(".onnx")) as string;
  await mkdir(dirname(join(destination, graph)), { recursive: true });
  const pruned = remove(model, removed);
  const written = await writeData(
    pruned,
    dirname(join(folder, graph)),
    join(destination, dataFile(graph)),
    dataFile(graph).split("/").at(-1) as string,
  );
  await writeFile(join(destination, graph), encode(written));

  const external = new Set(
    [...model.graph.initializers.values()].flatMap((t) => (t.data.kind === "external" ? [join(dirname(graph), t.data.location)] : [])),
  );
  for (const { path } of files) {
    if (path === graph || external.has(path) || rewritten.has(path)) continue;
    await mkdir(dirname(join(destination, path)), { recursive: true });
    await copyFile(join(folder, path), join(destination, path));
  }
  if (files.some((f) => f.path === "config.json")) {
    const config = JSON.parse(await readFile(join(folder, "config.json"), "utf8")) as Record<string, unknown>;
    await writeFile(join(destination, "config.json"), `${JSON.stringify(configured(config, model, removed), null, 2)}\n`);
  }
}

/** Copies the external tensors that are left into one new file, in graph order, and points the graph at it. */
async function writeData(model: Model, source: string, target: string, location: string): Promise<Model> {
  const initializers = new Map<string, Tensor>();
  const external = [...model.graph.initializers.values()].some((t) => t.data.kind === "external");
  if (!external) return model;
  const file = await open(target, "w");
  try {
    let position = 0;
    for (const t of model.graph.initializers.values()) {
      if (t.data.kind === "inline") {
        initializers.set(t.name, t);
        continue;
      }
      const { offset, length } = t.data;
      position = Math.ceil(position / alignment) * alignment;
      initializers.set(t.name, { ...t, data: { kind: "external", location, offset: position, length } });
      if (length === 0) continue;
      for await (const chunk of createReadStream(join(source, t.data.location), {
        start: offset,
        end: offset + length - 1,
        highWaterMark: 1 << 20,
      })) {
        await file.write(chunk as Buffer, 0, (chunk as Buffer).length, position);
        position += (chunk as Buffer).length;
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { ...model, graph: { ...model.graph, initializers } };
}

/** The names under which model families keep their number of layers. */
const layerCounts = ["num_hidden_layers", "n_layer", "n_layers", "num_layers"];

/**
 * The configuration of what is left. Runtimes make as many cache entries as there are layers, so the number of layers is that
 * of the attentions left; what no field can say (layers of which only one half is left) stands under `espalier`.
 */
function configured(config: Readonly<Record<string, unknown>>, model: Model, removed: readonly StructureId[]): Record<string, unknown> {
  const { places } = anatomyOf(model);
  const gone = new Set(removed.map(structureKey));
  const goneBranches = new Set(places.filter((p) => gone.has(structureKey(p))).flatMap((p) => p.branches));
  const before = places.filter((p) => p.kind === "LAYER");
  const layers = before.map((p) => ({ layer: p.layer, kinds: p.branches.filter((b) => !goneBranches.has(b)).map((b) => b.kind) }));
  const withAttention = layers.filter((l) => l.kinds.includes("ATTENTION"));
  const perLayer = (value: unknown) =>
    Array.isArray(value) && value.length === before.length ? withAttention.map((l) => value[l.layer]) : value;
  const adapted = Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key,
      layerCounts.includes(key) && value === before.length ? withAttention.length : key === "layer_types" ? perLayer(value) : value,
    ]),
  );
  // Layers are named by their place in the model that this one was pruned from.
  return { ...adapted, espalier: { layers: layers.filter((l) => l.kinds.length > 0) } };
}
