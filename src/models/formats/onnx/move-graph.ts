import { readFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { decode } from "../../../onnx/decode.ts";
import { encode } from "../../../onnx/encode.ts";
import type { Tensor } from "../../../onnx/ir.ts";
import type { ExportSource, WrittenFile } from "../format.ts";

/** Where transformers.js and Optimum look for a graph. */
export const usualPlace = "onnx/model.onnx";

/** What the i-th file of external data beside it is called there. */
const dataName = (i: number): string => `model.onnx_data${i === 0 ? "" : `_${i}`}`;

export interface MovedGraph {
  readonly files: readonly WrittenFile[];
  /** The graph's bytes, where they had to change; under which name they are to be written. */
  readonly rewritten: { readonly path: string; readonly bytes: Uint8Array } | null;
  /** How many files of external data there are. */
  readonly dataFiles: number;
}

/**
 * A model's graph and weights at `onnx/model.onnx` and `onnx/model.onnx_data`, `..._1` and so on. Weights stay the files that they are; the graph
 * is written anew only where it names them otherwise.
 */
export async function movedGraph({ folder, graph, files }: ExportSource): Promise<MovedGraph> {
  const of = (path: string) => files.find((file) => file.path === path);
  const stored = of(graph);
  if (!stored) throw new Error(`the graph ${graph} is none of the model's files`);
  const decoded = decode(await readFile(join(folder, graph)));
  const locations = new Map<string, string>();
  for (const { data } of decoded.graph.initializers.values())
    if (data.kind === "external" && !locations.has(data.location)) locations.set(data.location, dataName(locations.size));
  const weights = [...locations].map(([location, name]): WrittenFile => {
    const path = posix.join(dirname(graph), location);
    const found = of(path);
    if (!found) throw new Error(`the weights ${path} are none of the model's files`);
    return { path: `onnx/${name}`, stored: found };
  });
  if ([...locations].every(([location, name]) => location === name))
    return { files: [{ path: usualPlace, stored }, ...weights], rewritten: null, dataFiles: weights.length };
  const named = (tensor: Tensor): Tensor =>
    tensor.data.kind === "external"
      ? { ...tensor, data: { ...tensor.data, location: locations.get(tensor.data.location) as string } }
      : tensor;
  const initializers = new Map([...decoded.graph.initializers].map(([name, tensor]) => [name, named(tensor)]));
  const bytes = encode({ ...decoded, graph: { ...decoded.graph, initializers } });
  return { files: weights, rewritten: { path: usualPlace, bytes }, dataFiles: weights.length };
}
