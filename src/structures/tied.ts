import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { dataTypes, type Tensor } from "../onnx/ir.ts";

/** Bytes `[from, from + length)` of a tensor. */
type Read = (tensor: Tensor, from: number, length: number) => Uint8Array;

/** Elements looked at before two matrices are compared in full. */
const samples = 16;

/**
 * Names of the matrices that repeat an earlier one, as it is or transposed: PyTorch exports a head that is tied to the
 * embedding as a second, transposed copy.
 *
 * Few matrices agree even in a few elements, so few are read in full: time and memory do not grow with the weights.
 *
 * @param folder where external data lies
 */
export function tiedCopies(tensors: readonly Tensor[], folder: string): Set<string> {
  const files = new Map<string, number>();
  const read: Read = ({ data }, from, length) => {
    if (data.kind === "inline") return data.bytes.subarray(from, from + length);
    const file = files.get(data.location) ?? openSync(join(folder, data.location), "r");
    files.set(data.location, file);
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const n = readSync(file, bytes, done, length - done, data.offset + from + done);
      // A file that is too short ends here; what is missing stays 0, and whoever loads the model says so.
      if (n === 0) break;
      done += n;
    }
    return bytes;
  };
  try {
    const alike = groups(
      tensors.filter((t) => t.dims.length === 2 && Number.isInteger(dataTypes[t.dataType].bytes)),
      (t) => sample(t, read),
    );
    const same = alike.filter((g) => g.length > 1).flatMap((g) => groups(g, (t) => digest(t, read)));
    return new Set(same.flatMap((g) => g.slice(1).map((t) => t.name)));
  } finally {
    for (const file of files.values()) closeSync(file);
  }
}

function groups(tensors: readonly Tensor[], key: (tensor: Tensor) => string): Tensor[][] {
  const byKey = new Map<string, Tensor[]>();
  for (const t of tensors) {
    const k = key(t);
    byKey.set(k, [...(byKey.get(k) ?? []), t]);
  }
  return [...byKey.values()];
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Elements on the diagonal, which are the same in a matrix and its transpose; those of one shape or its transpose agree in the rest. */
function sample(t: Tensor, read: Read): string {
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

/** The same for a matrix and its transpose: of the one that stands upright; of a square one, the lesser of both. */
function digest(t: Tensor, read: Read): string {
  const [rows, columns] = t.dims as [number, number];
  const width = dataTypes[t.dataType].bytes;
  const bytes = read(t, 0, rows * columns * width);
  if (rows > columns) return sha256(bytes);
  const turned = sha256(transposed(bytes, rows, columns, width));
  return rows < columns ? turned : ([sha256(bytes), turned].sort()[0] as string);
}

function transposed(bytes: Uint8Array, rows: number, columns: number, width: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      for (let b = 0; b < width; b++) out[(c * rows + r) * width + b] = bytes[(r * columns + c) * width + b] as number;
  return out;
}
