import { open } from "node:fs/promises";
import type { Model, Tensor } from "../onnx/ir.ts";
import { bytesOf, floatTensor } from "../onnx/tensors.ts";
import { verify } from "../onnx/verify.ts";

/**
 * A model with other weights, of its own types. Those that it keeps in its graph are held; those that lie beside it are written to a file one
 * after another, so that memory stays that of the graph and one of them.
 *
 * @param weights in float32, with the dims that the model has
 * @param path of the file, which may be made
 * @param location how a reader of the model's external data finds it
 */
export async function reweighted(
  model: Model,
  weights: Iterable<readonly [parameter: string, values: Float32Array]>,
  path: string,
  location: string,
): Promise<Model> {
  const initializers = new Map(model.graph.initializers);
  const file = await open(path, "w");
  try {
    let offset = 0;
    for (const [name, values] of weights) {
      const old = initializers.get(name) as Tensor;
      // A copy: what is trained goes on, or is a part of a larger memory.
      const made = floatTensor(name, old.dataType, old.dims, Float32Array.from(values));
      const bytes = bytesOf(made);
      if (old.data.kind === "inline") initializers.set(name, made);
      else {
        await file.write(bytes, 0, bytes.length, offset);
        initializers.set(name, { ...made, data: { kind: "external", location, offset, length: bytes.length } });
        offset += bytes.length;
      }
    }
  } finally {
    await file.close();
  }
  const result = { ...model, graph: { ...model.graph, initializers } };
  verify(result);
  return result;
}
