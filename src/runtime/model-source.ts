import { dirname } from "node:path";
import { encode } from "../onnx/encode.ts";
import type { Model } from "../onnx/ir.ts";
import { widen } from "../onnx/widen.ts";
import type { ModelSource } from "./session.ts";

/**
 * What a session is opened on for a model whose file lies at `path`: the file itself; or, if it stores bfloat16, of which
 * ONNX Runtime has no CPU kernels and its Node binding no tensors, the same graph in float32 over the same weights.
 */
export function modelSource({ graph, ...rest }: Model, path: string): ModelSource {
  const stored = [...graph.initializers.values(), ...graph.inputs, ...graph.outputs];
  if (!stored.some((v) => v.dataType === "bfloat16")) return { path };
  return { bytes: encode(widen({ ...rest, graph })), externalFolder: dirname(path) };
}
