import { open } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { dataTypes, sizeOf, type Tensor } from "../onnx/ir.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import { withoutCodes } from "../onnx/without-codes.ts";
import type { Located } from "./forward.ts";

/** How many bytes are unpacked at once, in whole rows. */
const atOnce = 1 << 26;

/**
 * A model as training reads it: what codes stand for, in float32, and all else that lies beside its graph, in a file. Memory stays that of some rows.
 *
 * @param path of the file, which is made if there are codes
 * @returns the model as it is if it has none
 * @throws EspalierError UNSUPPORTED_CODES
 */
export async function unpacked({ model, folder }: Located, path: string): Promise<Located> {
  const { model: plain, read, count } = withoutCodes(model, tensorReader(folder), () => false);
  if (count === 0) return { model, folder };
  const initializers = new Map<string, Tensor>(plain.graph.initializers);
  const file = await open(path, "w");
  try {
    let offset = 0;
    for (const tensor of plain.graph.initializers.values()) {
      if (tensor.data.kind === "inline") continue;
      const length = sizeOf(tensor.dims) * dataTypes[tensor.dataType].bytes;
      const row = Math.max(1, length / (tensor.dims[0] || 1));
      const most = Math.max(row, Math.floor(atOnce / row) * row);
      for (let from = 0; from < length; from += most) {
        const bytes = read(tensor, from, Math.min(most, length - from));
        await file.write(bytes, 0, bytes.length, offset + from);
      }
      initializers.set(tensor.name, { ...tensor, data: { kind: "external", location: basename(path), offset, length } });
      // Weights begin where memory pages do.
      offset = Math.ceil((offset + length) / 4096) * 4096;
    }
  } finally {
    await file.close();
  }
  return { model: { ...plain, graph: { ...plain.graph, initializers } }, folder: dirname(path) };
}
