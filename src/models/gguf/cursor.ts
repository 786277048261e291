import { readSync } from "node:fs";
import { EspalierError } from "../../errors.ts";

const windowBytes = 1 << 20;

/** Of the numbers that round to a float32, that with the fewest digits: 1e-5 and not 9.999999747378752e-6, as people wrote it. */
function shortest(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** Reads a GGUF file from its beginning on, a window at a time. */
export class Cursor {
  #window = Buffer.alloc(0);
  #at = 0;
  /** Of the window's first byte. */
  #begin = 0;

  /** @param end how far it may go: the file's end, or what a head may have */
  constructor(
    private readonly handle: number,
    private readonly file: string,
    private readonly end: number,
  ) {}

  get position(): number {
    return this.#begin + this.#at;
  }

  get left(): number {
    return this.end - this.position;
  }

  /** @throws EspalierError INVALID_GGUF always */
  fail(message: string, details: Readonly<Record<string, unknown>> = {}): never {
    throw new EspalierError("INVALID_GGUF", `${this.file}: ${message}`, { file: this.file, ...details });
  }

  /** @throws EspalierError UNSUPPORTED_GGUF always */
  refuse(message: string, details: Readonly<Record<string, unknown>> = {}): never {
    throw new EspalierError("UNSUPPORTED_GGUF", `${this.file}: ${message}`, { file: this.file, ...details });
  }

  /** A whole number of so many bytes. @throws EspalierError INVALID_GGUF at the file's end, and past 2^53 */
  integer(bytes: 1 | 2 | 4 | 8, signed: boolean): number {
    const at = this.#take(bytes);
    if (bytes < 8) return signed ? this.#window.readIntLE(at, bytes) : this.#window.readUIntLE(at, bytes);
    const value = signed ? this.#window.readBigInt64LE(at) : this.#window.readBigUInt64LE(at);
    const number = Number(value);
    return Number.isSafeInteger(number)
      ? number
      : this.fail(`holds the number ${value} at byte ${this.position - 8}; none past 2^53 makes sense`);
  }

  float(bytes: 4 | 8): number {
    const at = this.#take(bytes);
    return bytes === 4 ? shortest(this.#window.readFloatLE(at)) : this.#window.readDoubleLE(at);
  }

  /** @param what it is of, for messages. Bytes that are no UTF-8 come out as U+FFFD */
  text(most: number, what: string): string {
    const length = this.integer(8, false);
    if (length > most) this.fail(`${what} has a text of ${length} bytes; at most ${most} make sense`);
    const at = this.#take(length);
    return this.#window.toString("utf8", at, at + length);
  }

  /** Moves on, and says where in the window what was passed begins. */
  #take(bytes: number): number {
    if (this.#at + bytes > this.#window.length) this.#load(bytes);
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  #load(bytes: number): void {
    const begin = this.position;
    if (begin + bytes > this.end)
      this.fail(`ends at byte ${this.end}, where ${begin + bytes - this.end} bytes more were expected: it is cut short`);
    const window = Buffer.alloc(Math.min(Math.max(bytes, windowBytes), this.end - begin));
    let read = 0;
    while (read < window.length) {
      const got = readSync(this.handle, window, read, window.length - read, begin + read);
      if (got === 0) this.fail(`ends at byte ${begin + read}, while it was read`);
      read += got;
    }
    this.#window = window;
    this.#at = 0;
    this.#begin = begin;
  }
}
