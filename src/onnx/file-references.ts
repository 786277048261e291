import type { Model, Tensor } from "./ir.ts";

/** Smaller tensors take part in shape arithmetic, which ONNX Runtime does not do on external data. */
const smallestBytes = 1024;

/**
 * The same model with its weights left in the file it was decoded from: each becomes external data at its place in the ONNX
 * file itself. What is then encoded is the graph alone, and ONNX Runtime maps the weights instead of copying them.
 *
 * @param file the bytes that `decode` read
 * @param location the file's name, relative to the folder of external data
 */
export function referToFile(model: Model, file: Uint8Array, location: string): Model {
  const refer = (t: Tensor): Tensor => {
    if (t.data.kind === "external" || t.data.bytes.length < smallestBytes || t.data.bytes.buffer !== file.buffer) return t;
    return { ...t, data: { kind: "external", location, offset: t.data.bytes.byteOffset - file.byteOffset, length: t.data.bytes.length } };
  };
  const initializers = new Map([...model.graph.initializers].map(([name, t]) => [name, refer(t)]));
  return { ...model, graph: { ...model.graph, initializers } };
}
