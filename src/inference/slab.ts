import { hold } from "../runtime/in-place.ts";
import type { TensorValue } from "../runtime/session.ts";
import { type CacheWidth, ports } from "../serving-graph/ports.ts";
import type { HeldCache } from "./run-buffers.ts";

const parts = ["key", "value"] as const;

/** One block of the cache: for each layer keys, then values, each [K, n, D]. */
export type CacheBlock = readonly Float32Array[];

/**
 * The cache of many sequences, one a row: for each layer keys and values [C, K, S, D]. Runs extend rows in place; a run
 * takes one row, or the first so many. Rows are copied only when a sequence leaves or the slab grows.
 */
export class Slab {
  /** For each layer keys, then values. */
  #buffers: readonly Float32Array[];
  #held = new Map<string, HeldCache>();

  constructor(
    private readonly layers: readonly CacheWidth[],
    private rows: number,
    private room: number,
  ) {
    this.#buffers = this.#allocate(rows, room);
  }

  /** S: tokens that a row has room for. */
  get tokens(): number {
    return this.room;
  }

  /** C. */
  get capacity(): number {
    return this.rows;
  }

  /** Makes room for so many rows of so many tokens, keeping what the first `live` rows hold. */
  grow(rows: number, room: number, live: number): void {
    if (rows <= this.rows && room <= this.room) return;
    const [oldRoom, old] = [this.room, this.#buffers];
    // Longer rows may be fewer: what was set aside for many short ones would be too much.
    this.rows = room > this.room ? rows : Math.max(rows, this.rows);
    this.room = Math.max(room, this.room);
    this.#buffers = this.#allocate(this.rows, this.room);
    this.#held.clear();
    for (const [i, from] of old.entries()) {
      const { heads, width } = this.layers[i >> 1] as CacheWidth;
      const to = this.#buffers[i] as Float32Array;
      for (let head = 0; head < live * heads; head++)
        to.set(from.subarray(head * oldRoom * width, (head + 1) * oldRoom * width), head * this.room * width);
    }
  }

  /** Copies the first `tokens` of a row over another's. */
  move(from: number, to: number, tokens: number): void {
    if (from === to) return;
    this.#each((buffer, { heads, width }) => {
      for (let k = 0; k < heads; k++) {
        const at = (from * heads + k) * this.room * width;
        buffer.copyWithin((to * heads + k) * this.room * width, at, at + tokens * width);
      }
    });
  }

  swap(a: number, b: number, tokens: number): void {
    if (a === b) return;
    this.#each((buffer, { heads, width }) => {
      for (let k = 0; k < heads; k++) {
        const [x, y] = [a, b].map((row) => (row * heads + k) * this.room * width) as [number, number];
        const kept = buffer.slice(x, x + tokens * width);
        buffer.copyWithin(x, y, y + tokens * width);
        buffer.set(kept, y);
      }
    });
  }

  /** A copy of a row's tokens `from` to `to`. */
  read(row: number, from: number, to: number): CacheBlock {
    const block: Float32Array[] = [];
    this.#each((buffer, { heads, width }) => {
      const copy = new Float32Array(heads * (to - from) * width);
      for (let k = 0; k < heads; k++) {
        const at = (row * heads + k) * this.room * width;
        copy.set(buffer.subarray(at + from * width, at + to * width), k * (to - from) * width);
      }
      block.push(copy);
    });
    return block;
  }

  write(row: number, from: number, tokens: number, block: CacheBlock): void {
    let i = 0;
    this.#each((buffer, { heads, width }) => {
      const copy = block[i++] as Float32Array;
      for (let k = 0; k < heads; k++)
        buffer.set(copy.subarray(k * tokens * width, (k + 1) * tokens * width), ((row * heads + k) * this.room + from) * width);
    });
  }

  /** The inputs and outputs that are rows `first` to `first + count`. */
  held(first: number, count: number): HeldCache {
    const key = `${first} ${count}`;
    const known = this.#held.get(key);
    if (known) return known;
    const tensor = (i: number): TensorValue => {
      const { heads, width } = this.layers[i >> 1] as CacheWidth;
      const size = heads * this.room * width;
      const data = (this.#buffers[i] as Float32Array).subarray(first * size, (first + count) * size);
      return { dataType: "float32", dims: [count, heads, this.room, width], data };
    };
    const entries = this.#buffers.map((_, i) => [i >> 1, parts[i & 1] as "key" | "value", tensor(i)] as const);
    const made = {
      past: hold(Object.fromEntries(entries.map(([layer, part, t]) => [ports.past(layer, part), t]))),
      present: hold(Object.fromEntries(entries.map(([layer, part, t]) => [ports.present(layer, part), t]))),
    };
    this.#held.set(key, made);
    return made;
  }

  #each(work: (buffer: Float32Array, layer: CacheWidth) => void): void {
    for (const [i, buffer] of this.#buffers.entries()) work(buffer, this.layers[i >> 1] as CacheWidth);
  }

  #allocate(rows: number, room: number): Float32Array[] {
    return this.layers.flatMap(({ heads, width }) => parts.map(() => new Float32Array(rows * heads * room * width)));
  }
}
