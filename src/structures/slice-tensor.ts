import { EspalierError } from "../errors.ts";
import { dataTypes, sizeOf, type Tensor } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import type { Range } from "./entries.ts";

/**
 * A tensor of the entries that stay. What is cut from a file is cut anew each time it is read, and never held: a model's
 * weights may be larger than the memory.
 *
 * @param keep by axis: the ranges that stay, or null for all
 * @throws EspalierError PACKED_TENSOR if elements share bytes
 */
export function sliceTensor(tensor: Tensor, keep: readonly (readonly Range[] | null)[], read: TensorReader): Tensor {
  const width = dataTypes[tensor.dataType].bytes;
  if (!Number.isInteger(width) || width === 0)
    throw new EspalierError("PACKED_TENSOR", `tensor "${tensor.name}" of ${tensor.dataType} cannot be cut: its elements share bytes`, {
      tensor: tensor.name,
    });
  const whole = tensor.dims.map((size, i): readonly Range[] => keep[i] ?? [{ start: 0, length: size }]);
  const dims = whole.map((ranges) => ranges.reduce((n, r) => n + r.length, 0));
  const last = keep.findLastIndex((k) => k !== null);
  const cut = (): Uint8Array => {
    const from = read(tensor);
    const bytes = new Uint8Array(sizeOf(dims) * width);
    let written = 0;
    /** Copies what stays of the block that starts at an offset and holds the axes from `axis` on. */
    const copy = (axis: number, offset: number): void => {
      const stride = sizeOf(tensor.dims.slice(axis + 1)) * width;
      for (const { start, length } of whole[axis] as readonly Range[])
        if (axis === last) {
          bytes.set(from.subarray(offset + start * stride, offset + (start + length) * stride), written);
          written += length * stride;
        } else for (let i = start; i < start + length; i++) copy(axis + 1, offset + i * stride);
    };
    copy(0, 0);
    return bytes;
  };
  if (tensor.data.kind === "inline") return { ...tensor, dims, data: { kind: "inline", bytes: cut() } };
  return {
    ...tensor,
    dims,
    data: {
      kind: "inline",
      get bytes() {
        return cut();
      },
    },
  };
}
