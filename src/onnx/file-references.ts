import type { Graph, Model, Tensor } from "./ir.ts";
import type { TensorReader } from "./read-tensor.ts";

/** Of one axis a tensor is a norm, a bias or a shape, unless it is very large; of more it is a weight, unless it is very small. */
const [smallVector, smallTensor] = [1 << 20, 1 << 16];

/**
 * Whether a tensor belongs in the graph itself. Sizes, positions and axes take part in shape arithmetic, which ONNX Runtime
 * does on what the graph holds only; norms and biases are looked at and folded. Larger ones are only mapped.
 */
export const isSmall = ({ dims, data }: Tensor): boolean => {
  const length = data.kind === "inline" ? data.bytes.length : data.length;
  return length < (dims.length < 2 ? smallVector : smallTensor);
};

/**
 * The same model with its weights left in the file it was decoded from: each becomes external data at its place in the ONNX
 * file itself. What is then encoded is the graph alone, and ONNX Runtime maps the weights instead of copying them.
 *
 * @param file the bytes that `decode` read
 * @param location the file's name, relative to the folder of external data
 */
export function referToFile(model: Model, file: Uint8Array, location: string): Model {
  const refer = (t: Tensor): Tensor => {
    if (t.data.kind === "external" || isSmall(t) || t.data.bytes.buffer !== file.buffer) return t;
    return { ...t, data: { kind: "external", location, offset: t.data.bytes.byteOffset - file.byteOffset, length: t.data.bytes.length } };
  };
  const initializers = new Map([...model.graph.initializers].map(([name, t]) => [name, refer(t)]));
  return { ...model, graph: { ...model.graph, initializers } };
}

/** Those of a graph's tensors that lie in a file, but for some, in memory once more: what `referToFile` did, undone. */
export function bringIn(graph: Graph, location: string, read: TensorReader, but: (name: string) => boolean = () => false): Graph {
  const lies = (t: Tensor) => t.data.kind === "external" && t.data.location === location && !but(t.name);
  if (![...graph.initializers.values()].some(lies)) return graph;
  const brought = (t: Tensor): Tensor => (lies(t) ? { ...t, data: { kind: "inline", bytes: read(t) } } : t);
  return { ...graph, initializers: new Map([...graph.initializers].map(([name, t]) => [name, brought(t)])) };
}
