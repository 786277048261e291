import { EspalierError } from "../errors.ts";
import { type Model, sizeOf, type Tensor, type ValueInfo } from "../onnx/ir.ts";
import { cacheDims, signatureOf } from "../onnx/signature.ts";
import type { Binding } from "../runtime/specialise.ts";

/** An integer or bool tensor of the input's own type. */
function integers(input: ValueInfo, dims: readonly number[], values: readonly number[]): Tensor {
  const arrays = {
    int64: () => BigInt64Array.from(values, BigInt),
    int32: () => Int32Array.from(values),
    bool: () => Uint8Array.from(values),
  };
  const make = arrays[input.dataType as keyof typeof arrays];
  if (!make)
    throw new EspalierError("UNSUPPORTED_INPUT", `input "${input.name}" has type ${input.dataType}, not an integer type`, {
      input: input.name,
    });
  return { name: input.name, dataType: input.dataType, dims, data: { kind: "inline", bytes: new Uint8Array(make().buffer) } };
}

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
  if (signature.mask)
    constants.push(
      integers(
        signature.mask,
        shape,
        Array.from({ length: batch * tokens }, () => 1),
      ),
    );
  if (signature.positions)
    constants.push(
      integers(
        signature.positions,
        shape,
        Array.from({ length: batch * tokens }, (_, i) => i % tokens),
      ),
    );
  return { shapes: { [signature.tokens.name]: shape }, constants, parameters };
}
