import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { basename, join } from "node:path";
import { dataTypes, type Graph, sizeOf, type Tensor, type TensorData } from "./ir.ts";

/** Weights in a data file begin where memory pages do, so that each can be mapped by itself. */
const alignment = 4096;

/**
 * Says of a tensor of a graph made from `base` whether it, or what it was cut from, lies beside that.
 *
 * @param own name of the graph's own file, which weights that are left there lie in and not beside; none to count those too
 */
export const besideGraph =
  (base: Graph, own?: string) =>
  ({ name }: Tensor): boolean => {
    const data = base.initializers.get(name)?.data;
    return data?.kind === "external" && data.location !== own;
  };

/**
 * Copies some of a graph's weights into one new file beside it, in the graph's order and a piece at a time, so that memory stays
 * that of the graph. What is the same in memory is written once.
 *
 * @param source folder of the graph's external data as it is now
 * @param target path of the file, which is written only if there is something to write
 * @returns the graph that finds them there
 */
export async function writeData(graph: Graph, which: (tensor: Tensor) => boolean, source: string, target: string): Promise<Graph> {
  const location = basename(target);
  const initializers = new Map<string, Tensor>(graph.initializers);
  const chosen = [...graph.initializers.values()].filter(which);
  if (chosen.length === 0) return graph;
  const file = await open(target, "w");
  try {
    let position = 0;
    const written = new Map<TensorData, TensorData>();
    for (const t of chosen) {
      const known = written.get(t.data);
      if (known) {
        initializers.set(t.name, { ...t, data: known });
        continue;
      }
      const length = sizeOf(t.dims) * dataTypes[t.dataType].bytes;
      position = Math.ceil(position / alignment) * alignment;
      const data: TensorData = { kind: "external", location, offset: position, length };
      initializers.set(t.name, { ...t, data });
      written.set(t.data, data);
      for await (const chunk of bytesOf(t.data, source)) {
        await file.write(chunk, 0, chunk.length, position);
        position += chunk.length;
      }
    }
  } finally {
    await file.close();
  }
  return { ...graph, initializers };
}

async function* bytesOf(data: TensorData, folder: string): AsyncGenerator<Uint8Array> {
  if (data.kind === "inline") yield data.bytes;
  else if (data.length > 0) {
    const range = { start: data.offset, end: data.offset + data.length - 1, highWaterMark: 1 << 20 };
    for await (const chunk of createReadStream(join(folder, data.location), range)) yield chunk as Buffer;
  }
}
