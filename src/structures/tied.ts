import { createHash } from "node:crypto";
import { dataTypes, sizeOf, type Tensor } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";

/** Elements looked at before two matrices are compared in full. */
const samples = 16;

/**
 * Names of the matrices that repeat an earlier one, as it is or transposed, where one of those that are equal is a table: PyTorch
 * exports a head that is tied to the embedding as a second, transposed copy.
 *
 * @param tables names of what tokens are looked up in
 * Few matrices agree even in a few elements, so few are read in full, and those piece by piece: memory does not grow with the weights.
 */
export function tiedCopies(tensors: readonly Tensor[], tables: ReadonlySet<string>, read: TensorReader): Set<string> {
  const matrices = tensors.filter((t) => t.dims.length === 2 && Number.isInteger(dataTypes[t.dataType].bytes));
  const withTable = (group: readonly Tensor[]) => group.length > 1 && group.some((t) => tables.has(t.name));
  const alike = groups(matrices, (t) => sample(t, read)).filter(withTable);
  const same = alike.flatMap((g) => groups(g, (t) => digest(t, read))).filter(withTable);
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

/** The same for a matrix and its transpose: the digest of the one that is higher than wide; of square ones, the lesser. */
function digest(t: Tensor, read: TensorReader): string {
  const [rows, columns] = t.dims as [number, number];
  if (rows > columns) return sha256(pieces(t, read));
  const turned = sha256(transposedPieces(t, read));
  return rows < columns ? turned : ([sha256(pieces(t, read)), turned].sort()[0] as string);
}

function sha256(parts: Iterable<Uint8Array>): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

/** Bytes in memory at a time: matrices are as large as a vocabulary. */
const pieceBytes = 8 << 20;

function* pieces(t: Tensor, read: TensorReader): Generator<Uint8Array> {
  const total = sizeOf(t.dims) * dataTypes[t.dataType].bytes;
  for (let from = 0; from < total; from += pieceBytes) yield read(t, from, Math.min(pieceBytes, total - from));
}

/** The transpose in rows' order: some columns at a time, read from every row. */
function* transposedPieces(t: Tensor, read: TensorReader): Generator<Uint8Array> {
  const [rows, columns] = t.dims as [number, number];
  const width = dataTypes[t.dataType].bytes;
  const most = Math.max(1, Math.floor(pieceBytes / (rows * width)));
  for (let first = 0; first < columns; first += most) {
    const count = Math.min(most, columns - first);
    const out = new Uint8Array(count * rows * width);
    for (let r = 0; r < rows; r++) {
      const row = read(t, (r * columns + first) * width, count * width);
      for (let c = 0; c < count; c++) for (let b = 0; b < width; b++) out[(c * rows + r) * width + b] = row[c * width + b] as number;
    }
    yield out;
  }
}
