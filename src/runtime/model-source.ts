import { encode } from "../onnx/encode.ts";
import { isHalfPrecision, type Model } from "../onnx/ir.ts";
import { toFloat32 } from "../onnx/to-float32.ts";
import type { ConcreteProvider } from "./providers.ts";
import type { ModelSource } from "./session.ts";

/**
 * What a session is opened on for a model: its graph as it was read, over the weights where they lie. Numbers of 16 bits are
 * cast to float32 where a provider has no kernels for them: bfloat16 in no provider's Node binding, float16 on the CPU, where ONNX
 * Runtime puts casts around each node, and unoptimised graphs of its own converter do not load for it.
 *
 * @param folder where the external data lies
 */
export function modelSource(model: Model, folder: string, provider: ConcreteProvider): ModelSource {
  const { initializers, inputs, outputs } = model.graph;
  const mustWiden = [...initializers.values(), ...inputs, ...outputs].some(
    ({ dataType }) => isHalfPrecision(dataType) && (dataType === "bfloat16" || provider === "CPU"),
  );
  return { bytes: encode(mustWiden ? toFloat32(model) : model), externalFolder: folder };
}
