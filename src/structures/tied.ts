import { createHash } from "node:crypto";
import { dataTypes, type Tensor } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";

/** Elements looked at before two matrices are compared in full. */
const samples = 16;

/**
 * Names of the matrices that repeat an earlier one, as it is or transposed: PyTorch exports a head that is tied to the
 * embedding as a second, transposed copy.
 *
 * Few matrices agree even in a few elements, so few are read in full: time and memory do not grow with the weights.
 */
export function tiedCopies(tensors: readonly Tensor[], read: TensorReader): Set<string> {
  const matrices = tensors.filter((t) => t.dims.length === 2 && Number.isInteger(dataTypes[t.dataType].bytes));
  const alike = groups(matrices, (t) => sample(t, read)).filter((g) => g.length > 1);
  const same = alike.flatMap((g) => groups(g, (t) => digest(t, read)));
  return new Set(same.flatMap((g) => g.slice(1).map((t) => t.name)));
}

function groups(tensors: readonly Tensor[], key: (tensor: Tensor) => string): Tensor[][] {
  const byKey = new Map<string, Tensor[]>();
  for (const t of tensors) {
    const k = key(t);
    byKey.set(k, [...(byKey.get(k) ?? []), t]);
  }
  return [...byKey.values()];
}

/** Type, dimensions in any order, and elements of the diagonal: the same for a matrix and its transpose. */
function sample(t: Tensor, read: TensorReader): string {
  const [rows, columns] = t.dims as [number, number];
  const width = dataTypes[t.dataType].bytes;
  const side = Math.min(rows, columns);
  const count = Math.min(side, samples);
  const elements = Array.from({ length: count }, (_, i) => {
    const at = Math.floor((i * side) / count);
    return Buffer.from(read(t, (at * columns + at) * width, width)).toString("hex");
  });
  return `${t.dataType} ${side}x${Math.max(rows, columns)} ${elements.join(" ")}`;
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The same for a matrix and its transpose: the digest of the one that is higher than wide; of square ones, the lesser. */
function digest(t: Tensor, read: TensorReader): string {
  const [rows, columns] = t.dims as [number, number];
  const bytes = read(t);
  if (rows > columns) return sha256(bytes);
  const turned = sha256(transposed(bytes, rows, columns, dataTypes[t.dataType].bytes));
  return rows < columns ? turned : ([sha256(bytes), turned].sort()[0] as string);
}

function transposed(bytes: Uint8Array, rows: number, columns: number, width: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      for (let b = 0; b < width; b++) out[(c * rows + r) * width + b] = bytes[(r * columns + c) * width + b] as number;
  return out;
}
