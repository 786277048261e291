import { createReadStream } from "node:fs";
import { copyFile, mkdir, open, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { encode } from "../onnx/encode.ts";
import { dataTypes, type Model, sizeOf, type Tensor, type TensorData } from "../onnx/ir.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import { discover } from "../structures/discover.ts";
import { divide, removeStructures } from "../structures/divide.ts";
import { isDivided, type StructureId } from "../structures/structure.ts";
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

/** Weights in a data file begin where memory pages do, so that each can be mapped by itself. */
const alignment = 4096;

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
  const written = await writeData(
    model,
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
    await writeFile(
      join(destination, "config.json"),
      `${JSON.stringify(prunedConfig(config, anatomy, divided?.groups ?? [], removed), null, 2)}\n`,
    );
  }
}

/**
 * Copies the external tensors that are left, and those that were cut from external ones, into one new file, in graph order,
 * and points the graph at it.
 */
async function writeData(base: Model, pruned: Model, source: string, target: string, location: string): Promise<Model> {
  const initializers = new Map<string, Tensor>();
  const isExternal = (t: Tensor | undefined) => t?.data.kind === "external";
  if (![...base.graph.initializers.values()].some(isExternal)) return pruned;
  const file = await open(target, "w");
  try {
    let position = 0;
    for (const t of pruned.graph.initializers.values()) {
      if (!isExternal(base.graph.initializers.get(t.name))) {
        initializers.set(t.name, t);
        continue;
      }
      const length = sizeOf(t.dims) * dataTypes[t.dataType].bytes;
      position = Math.ceil(position / alignment) * alignment;
      initializers.set(t.name, { ...t, data: { kind: "external", location, offset: position, length } });
      for await (const chunk of bytesOf(t.data, source)) {
        await file.write(chunk, 0, chunk.length, position);
        position += chunk.length;
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return { ...pruned, graph: { ...pruned.graph, initializers } };
}

async function* bytesOf(data: TensorData, folder: string): AsyncGenerator<Uint8Array> {
  if (data.kind === "inline") yield data.bytes;
  else if (data.length > 0) {
    const range = { start: data.offset, end: data.offset + data.length - 1, highWaterMark: 1 << 20 };
    for await (const chunk of createReadStream(join(folder, data.location), range)) yield chunk as Buffer;
  }
}
