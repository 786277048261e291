import { closeSync, openSync } from "node:fs";
import { sizeOf } from "../../onnx/ir.ts";
import type { Metadata } from "./container.ts";
import { bytesOfElements } from "./element-types.ts";
import type { Plan } from "./tensor-plan.ts";
import { bytesOf, Sources } from "./write-plan.ts";
import { writeAll } from "./write-safetensors.ts";

/** A value of metadata, and as which of the format's types it is written. */
export type Typed =
  | { readonly as: "U32" | "I32" | "F32"; readonly value: number | readonly number[] }
  | { readonly as: "BOOL"; readonly value: boolean | readonly boolean[] }
  | { readonly as: "TEXT"; readonly value: string | readonly string[] };

export type TypedMetadata = ReadonlyMap<string, Typed>;

/** What a reader makes of it: float32 is all that there is of a fraction. */
export const asRead = (metadata: TypedMetadata): Metadata => new Map([...metadata].map(([key, { value }]) => [key, value]));

const alignment = 32;
const version = 3;
const arrayType = 9;

const types = { U32: 4, I32: 5, F32: 6, BOOL: 7, TEXT: 8 } as const;

/** Little-endian values, one after another. */
class Bytes {
  readonly #parts: Buffer[] = [];

  u32(value: number): void {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    this.#parts.push(part);
  }

  u64(value: number): void {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    this.#parts.push(part);
  }

  text(value: string): void {
    const part = Buffer.from(value, "utf8");
    this.u64(part.length);
    this.#parts.push(part);
  }

  value(as: Typed["as"], value: number | boolean | string): void {
    if (as === "TEXT") {
      this.text(String(value));
      return;
    }
    const part = Buffer.alloc(as === "BOOL" ? 1 : 4);
    if (as === "BOOL") part.writeUInt8(value ? 1 : 0);
    else if (as === "F32") part.writeFloatLE(Number(value));
    else if (as === "I32") part.writeInt32LE(Number(value));
    else part.writeUInt32LE(Number(value));
    this.#parts.push(part);
  }

  joined = (): Buffer => Buffer.concat(this.#parts);
}

/**
 * Writes a GGUF file of version 3: metadata, what each tensor is, then the tensors, each at a multiple of 32 bytes. Weights are streamed.
 *
 * @yields how many bytes of tensors are written, of how many
 * @throws EspalierError WEIGHTS_MISMATCH, INVALID_GGUF as `bytesOf`
 */
export function* writeContainer(
  path: string,
  metadata: TypedMetadata,
  plans: readonly Plan[],
): Generator<{ readonly done: number; readonly total: number }, void> {
  const head = new Bytes();
  head.value("U32", 0x46554747);
  head.u32(version);
  head.u64(plans.length);
  head.u64(metadata.size);
  for (const [key, { as, value }] of metadata) {
    head.text(key);
    if (Array.isArray(value)) {
      head.u32(arrayType);
      head.u32(types[as]);
      head.u64(value.length);
      for (const each of value) head.value(as, each);
    } else {
      head.u32(types[as]);
      head.value(as, value as number);
    }
  }
  let end = 0;
  for (const { name, dims, type } of plans) {
    head.text(name);
    head.u32(dims.length);
    for (const dim of [...dims].reverse()) head.u64(dim);
    head.u32(type.id);
    head.u64(end);
    end = aligned(end + bytesOfElements(type, sizeOf(dims)));
  }
  const sources = new Sources();
  const file = openSync(path, "w", 0o600);
  try {
    const bytes = head.joined();
    writeAll(file, bytes);
    writeAll(file, new Uint8Array(aligned(bytes.length) - bytes.length));
    let done = 0;
    for (const plan of plans) {
      for (const part of bytesOf(plan, sources)) {
        writeAll(file, part);
        done += part.length;
      }
      writeAll(file, new Uint8Array(aligned(done) - done));
      done = aligned(done);
      yield { done, total: end };
    }
  } finally {
    closeSync(file);
    sources.close();
  }
}

const aligned = (position: number): number => Math.ceil(position / alignment) * alignment;
