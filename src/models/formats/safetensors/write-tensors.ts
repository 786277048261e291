import { open } from "node:fs/promises";
import { EspalierError } from "../../../errors.ts";
import { type DataType, dataTypes } from "../../../onnx/ir.ts";
import type { Matrix } from "../matrix.ts";

/** What the format calls the types that it is written in. */
const spelled: Readonly<Partial<Record<DataType, string>>> = { float32: "F32", float16: "F16", bfloat16: "BF16" };

/** @throws EspalierError EXPORT_UNSUPPORTED naming the first tensor of a type that is not written */
export function requireWritable(tensors: readonly NamedTensor[]): void {
  const other = tensors.find(({ matrix }) => spelled[matrix.dataType] === undefined);
  if (other)
    throw new EspalierError(
      "EXPORT_UNSUPPORTED",
      `"${other.name}" is of type ${other.matrix.dataType}; float32, float16 and bfloat16 are written`,
      { tensor: other.name },
    );
}

/** So many bytes are in memory at a time, about. */
const piece = 4 << 20;

export interface NamedTensor {
  readonly name: string;
  readonly dims: readonly number[];
  /** Its elements, row by row. */
  readonly matrix: Matrix;
}

/** How many bytes a tensor takes in a file. */
export const tensorBytes = ({ rows, columns, dataType }: Matrix): number => rows * columns * dataTypes[dataType].bytes;

/**
 * Writes a `.safetensors` file: the length of the header in 8 bytes, the header (JSON, filled up with blanks to a multiple of 8), then
 * the tensors one after another. Memory stays that of a few strips of rows.
 *
 * Source: the format's description, github.com/huggingface/safetensors.
 *
 * @yields how many bytes of tensors are written
 */
export async function* writeTensors(path: string, tensors: readonly NamedTensor[]): AsyncGenerator<{ done: number; total: number }, void> {
  let end = 0;
  const entries = tensors.map(({ name, dims, matrix }) => {
    const from = end;
    end += tensorBytes(matrix);
    return [name, { dtype: spelled[matrix.dataType], shape: dims, data_offsets: [from, end] }] as const;
  });
  const text = JSON.stringify(Object.fromEntries([["__metadata__", { format: "pt" }] as const, ...entries]));
  const header = Buffer.from(text);
  const filled = Buffer.alloc(Math.ceil(header.length / 8) * 8, " ");
  header.copy(filled);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(filled.length));
  const file = await open(path, "w");
  try {
    await file.writeFile(Buffer.concat([length, filled]));
    let done = 0;
    for (const { matrix } of tensors) {
      const some = Math.max(1, Math.floor(piece / Math.max(1, tensorBytes({ ...matrix, rows: 1 }))));
      for (let from = 0; from < matrix.rows; from += some) {
        const strip = matrix.strip(from, Math.min(some, matrix.rows - from));
        await file.writeFile(strip);
        done += strip.length;
      }
      yield { done, total: end };
    }
  } finally {
    await file.close();
  }
}
