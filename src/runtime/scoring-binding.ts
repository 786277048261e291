import type { Model, Tensor, ValueInfo } from "../onnx/ir.ts";
import { emptyCacheDims, signatureOf } from "../onnx/signature.ts";
import { integerTensor } from "../onnx/tensors.ts";
import type { Binding } from "./specialise.ts";

/**
 * How a language model is fixed for scoring: token ids [B, T] are its only input. Sequences are padded on the right,
 * so under causal attention no real token sees the padding: the mask is all ones, positions count from 0, caches are
 * empty, and all three fold away.
 *
 * @throws EspalierError as `signatureOf`; UNSUPPORTED_CACHE
 */
export function scoringBinding(model: Model, batch: number, tokens: number, parameters: readonly string[]): Binding {
  const signature = signatureOf(model.graph.inputs);
  const shape = [batch, tokens];
  const constants = signature.caches.map(
    (c): Tensor => ({
      name: c.name,
      dataType: c.dataType,
      dims: emptyCacheDims(c, batch),
      data: { kind: "inline", bytes: new Uint8Array() },
    }),
  );
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
