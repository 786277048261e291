import { EspalierError } from "../errors.ts";
import { type Model, sizeOf, type Tensor, type ValueInfo } from "../onnx/ir.ts";
import { cacheDims, signatureOf } from "../onnx/signature.ts";
import { integerTensor } from "../onnx/tensors.ts";
import type { Binding } from "../runtime/specialise.ts";

/** A cache entry of length 0. */
function emptyCache(input: ValueInfo, batch: number): Tensor {
  const dims = cacheDims(input, batch, 0);
  if (sizeOf(dims) !== 0)
    throw new EspalierError("UNSUPPORTED_INPUT", `input "${input.name}" of shape [${input.shape}] has no dimension for earlier tokens`, {
      input: input.name,
    });
  return { name: input.name, dataType: input.dataType, dims, data: { kind: "inline", bytes: new Uint8Array() } };
}

/**
 * How a language model is fixed for scoring: token ids [B, T] are its only input. Sequences are padded on the right,
 * so under causal attention no real token sees the padding: the mask is all ones, positions count from 0, caches are
 * empty, and all three fold away.
 */
export function scoringBinding(model: Model, batch: number, tokens: number, parameters: readonly string[]): Binding {
  const signature = signatureOf(model.graph.inputs);
  const shape = [batch, tokens];
  const constants = signature.caches.map((c) => emptyCache(c, batch));
  const integers = ({ name, dataType }: ValueInfo, value: (i: number) => number) =>
    constants.push(
      integerTensor(
        name,
        dataType,
        shape,
        Array.from({ length: batch * tokens }, (_, i) => value(i)),
      ),
    );
  if (signature.mask) integers(signature.mask, () => 1);
  if (signature.positions) integers(signature.positions, (i) => i % tokens);
  return { shapes: { [signature.tokens.name]: shape }, constants, parameters };
}
