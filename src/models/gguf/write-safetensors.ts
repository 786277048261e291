import { closeSync, openSync, writeSync } from "node:fs";
import { sizeOf } from "../../onnx/ir.ts";
import { bytesOfElements } from "./element-types.ts";
import type { Plan } from "./tensor-plan.ts";
import { bytesOf, Sources } from "./write-plan.ts";

/** Where the first tensor begins: at a multiple of it, as readers that map a file like. */
const alignment = 64;

/**
 * Writes tensors into one `.safetensors` file, wider elements first, so that each begins at a multiple of its width.
 *
 * @yields how many bytes are written, of how many
 * @throws EspalierError WEIGHTS_MISMATCH, INVALID_GGUF as `bytesOf`
 */
export function* writeSafetensors(
  path: string,
  plans: readonly Plan[],
): Generator<{ readonly done: number; readonly total: number }, void> {
  const ordered = [...plans].sort((a, b) => b.type.bytes - a.type.bytes || (a.name < b.name ? -1 : 1));
  let end = 0;
  const entries = ordered.map(({ name, type, dims }) => {
    const begin = end;
    end += bytesOfElements(type, sizeOf(dims));
    return [name, { dtype: type.name, shape: dims, data_offsets: [begin, end] }] as const;
  });
  const text = JSON.stringify(Object.fromEntries([["__metadata__", { format: "pt" }], ...entries]));
  const header = Buffer.from(text);
  const length = Math.ceil((8 + header.length) / alignment) * alignment - 8;
  const head = Buffer.alloc(8 + length, " ");
  head.writeBigUInt64LE(BigInt(length));
  header.copy(head, 8);
  const sources = new Sources();
  const file = openSync(path, "w", 0o600);
  try {
    writeAll(file, head);
    let done = 0;
    for (const plan of ordered) {
      for (const bytes of bytesOf(plan, sources)) {
        writeAll(file, bytes);
        done += bytes.length;
      }
      yield { done, total: end };
    }
  } finally {
    closeSync(file);
    sources.close();
  }
}

export function writeAll(file: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
}
