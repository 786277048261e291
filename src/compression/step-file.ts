import { readFile, writeFile } from "node:fs/promises";
import { EspalierError } from "../errors.ts";
import type { PackedCodes } from "../onnx/packed-codes.ts";
import type { CompressedProduct } from "./events.ts";

/** What a matrix has become, as it is kept: codes, or weights [n, m] in float32, inputs as rows. */
export type Kept = { readonly kind: "CODES"; readonly packed: PackedCodes } | { readonly kind: "WEIGHTS"; readonly weights: Float32Array };

/** What a step has done. */
export interface DoneStep {
  readonly products: readonly CompressedProduct[];
  /** In the order of the products. */
  readonly kept: readonly Kept[];
}

/** Bytes by name are placed one after another, behind a length and a description of all in JSON. */
interface Header {
  readonly products: readonly CompressedProduct[];
  readonly matrices: readonly (
    | { readonly kind: "WEIGHTS"; readonly bytes: number }
    | (Omit<PackedCodes, "codes" | "scales" | "zeroPoints"> & { readonly kind: "CODES"; readonly bytes: readonly [number, number, number] })
  )[];
}

const bytesOf = (array: Uint8Array | Float32Array): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Writes what a step has done to a file of its own; the same gives the same bytes. */
export async function writeStep(path: string, { products, kept }: DoneStep): Promise<void> {
  const parts: Uint8Array[] = [];
  const matrices = kept.map((k): Header["matrices"][number] => {
    if (k.kind === "WEIGHTS") {
      parts.push(bytesOf(k.weights));
      return { kind: "WEIGHTS", bytes: k.weights.byteLength };
    }
    const { codes, scales, zeroPoints, ...shape } = k.packed;
    const zeros = zeroPoints ?? new Uint8Array(0);
    parts.push(bytesOf(codes), bytesOf(scales), bytesOf(zeros));
    return { kind: "CODES", ...shape, bytes: [codes.byteLength, scales.byteLength, zeros.byteLength] };
  });
  const header = Buffer.from(JSON.stringify({ products, matrices } satisfies Header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  await writeFile(path, [length, header, ...parts]);
}

/** @throws EspalierError CHECKPOINT_DAMAGED if the file is none that `writeStep` wrote */
export async function readStep(path: string): Promise<DoneStep> {
  const file = await readFile(path);
  const from = 4 + (file.length >= 4 ? file.readUInt32LE(0) : 0);
  const damaged = (): never => {
    throw new EspalierError("CHECKPOINT_DAMAGED", "the file of a step of the run does not hold what it should");
  };
  const header = from <= file.length && from > 4 ? (JSON.parse(file.subarray(4, from).toString()) as Header) : damaged();
  let at = from;
  // A copy: what is read as float32 begins at a multiple of four.
  const next = (length: number): Uint8Array => {
    at += length;
    return at <= file.length ? Uint8Array.from(file.subarray(at - length, at)) : damaged();
  };
  const floats = (length: number) => new Float32Array(next(length).buffer);
  const kept = header.matrices.map((m): Kept => {
    if (m.kind === "WEIGHTS") return { kind: "WEIGHTS", weights: floats(m.bytes) };
    const { kind: _, bytes, ...shape } = m;
    const [codes, scales, zeros] = bytes;
    const packed = { ...shape, codes: next(codes), scales: floats(scales), zeroPoints: zeros > 0 ? next(zeros) : null };
    return { kind: "CODES", packed };
  });
  return { products: header.products, kept };
}
