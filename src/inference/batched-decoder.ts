import { numberAt } from "../number-at.ts";
import type { InPlaceSession } from "../runtime/in-place.ts";
import type { CacheWidth } from "../serving-graph/ports.ts";
import type { ServingGraph } from "../serving-graph/serving-graph.ts";
import type { Decoder, Read, Sequence, Wanted } from "./decoder.ts";
import { PrefixCache } from "./prefix-cache.ts";
import { type HeldCache, type Results, RunBuffers } from "./run-buffers.ts";
import { Slab } from "./slab.ts";

/** Rows are kept in the order of `rows`: those that step first, so that one run can take them all. */
interface Row extends Sequence {
  length: number;
  /** Names of the prompt's whole blocks. */
  readonly keys: readonly string[];
  stepping: boolean;
}

export interface BatchOptions {
  readonly contextLength: number | null;
  /** Sequences at once. */
  readonly sequences: number;
  /** Of the cache, without what prompts began with. */
  readonly cacheBytes: number;
  readonly prefixBytes: number;
}

/** A multiple of 64 up to 512, then a power of two: so that rooms change seldom. */
const roomFor = (tokens: number): number => (tokens <= 512 ? Math.ceil(tokens / 64) * 64 : 2 ** Math.ceil(Math.log2(tokens)));

/** Decodes many sequences in one run, each at its own length. */
export class BatchedDecoder implements Decoder {
  readonly blockTokens = 64;
  readonly limitation = null;
  readonly vocabularySize: number;
  readonly contextLength: number | null;
  readonly #slab: { current: Slab };
  readonly #prefixes: PrefixCache;
  readonly #rows: Row[] = [];
  /** By the rows of the cache that they are of, so that they go when it does. */
  readonly #steps = new WeakMap<HeldCache, RunBuffers>();
  #results: Results;

  constructor(
    private readonly session: InPlaceSession,
    private readonly graph: Omit<ServingGraph, "model">,
    private readonly options: BatchOptions,
  ) {
    this.vocabularySize = graph.vocabularySize;
    this.contextLength = options.contextLength;
    this.#slab = { current: new Slab(graph.cache, 1, 64) };
    this.#prefixes = new PrefixCache(this.blockTokens, options.prefixBytes);
    this.#results = { ...graph, logits: new Float32Array(), hidden: new Float32Array() };
  }

  hasRoom(tokens: number): boolean | null {
    const { sequences, cacheBytes } = this.options;
    const slab = this.#slab.current;
    const room = roomFor(tokens);
    const bytes = (rows: number, each: number) => rows * each * tokenBytes(this.graph.cache);
    if (bytes(1, room) > cacheBytes) return null;
    if (this.#rows.length === 0) return true;
    return this.#rows.length < sequences && bytes(rowsFor(this.#rows.length + 1), Math.max(room, slab.tokens)) <= cacheBytes;
  }

  begin(ids: readonly number[], tokens: number, skippable: number): Sequence {
    const slab = this.#slab;
    const room = roomFor(tokens);
    // Nobody's cache is lost: begin small again after a long sequence.
    if (this.#rows.length === 0 && slab.current.tokens > room) slab.current = new Slab(this.graph.cache, 1, room);
    slab.current.grow(rowsFor(this.#rows.length + 1), room, this.#rows.length);
    // The last token is read in any case: what follows it is wanted.
    const row: Row = { length: 0, keys: this.#prefixes.keysOf(ids.slice(0, -1)), stepping: false };
    const at = this.#rows.push(row) - 1;
    for (const key of row.keys) {
      if (row.length + this.blockTokens > skippable) break;
      const block = this.#prefixes.find(key);
      if (!block) break;
      slab.current.write(at, row.length, this.blockTokens, block);
      row.length += this.blockTokens;
    }
    return row;
  }

  async read(sequence: Sequence, ids: readonly number[], { logits = [], hidden = [] }: Wanted): Promise<Read> {
    const row = sequence as Row;
    const at = this.#rows.indexOf(row);
    const rows = logits.length > 0 ? logits : hidden;
    const found = await this.#run(at, [row], ids, rows);
    const block = row.length / this.blockTokens - 1;
    const key = row.keys[block];
    if (key !== undefined && ids.length === this.blockTokens && !this.#prefixes.has(key))
      this.#prefixes.keep(key, this.#slab.current.read(at, row.length - ids.length, row.length));
    return { logits: logits.length > 0 ? found.logits : [], hidden: hidden.length > 0 ? found.hidden : [] };
  }

  async step(sequences: readonly Sequence[], ids: readonly number[]): Promise<readonly Float32Array[]> {
    for (const sequence of sequences) this.#stepping(sequence as Row);
    const rows = this.#rows.slice(0, sequences.length);
    const order = rows.map((row) => sequences.indexOf(row));
    const { logits } = await this.#run(
      0,
      rows,
      order.map((i) => numberAt(ids, i)),
      [...rows.keys()],
    );
    return sequences.map((s) => logits[rows.indexOf(s as Row)] as Float32Array);
  }

  end(sequence: Sequence): void {
    const row = sequence as Row;
    const at = this.#rows.indexOf(row);
    if (at < 0) return;
    // The last of those that step takes its place, and the last of all that one's.
    const lastStepping = this.#rows.findLastIndex((r) => r.stepping);
    let hole = at;
    for (const from of row.stepping ? [lastStepping, this.#rows.length - 1] : [this.#rows.length - 1]) {
      if (from === hole) continue;
      const moved = this.#rows[from] as Row;
      this.#slab.current.move(from, hole, moved.length);
      this.#rows[hole] = moved;
      hole = from;
    }
    this.#rows.pop();
  }

  close(): Promise<void> {
    return this.session.close();
  }

  /** Brings a row whose prompt has been read to those that step. */
  #stepping(row: Row): void {
    if (row.stepping) return;
    const at = this.#rows.indexOf(row);
    const to = this.#rows.findIndex((r) => !r.stepping);
    const other = this.#rows[to] as Row;
    this.#slab.current.swap(at, to, Math.max(row.length, other.length));
    this.#rows[at] = other;
    this.#rows[to] = row;
    row.stepping = true;
  }

  /** Reads the same number of tokens of each of the rows from `first` on. */
  async #run(first: number, rows: readonly Row[], ids: readonly number[], wanted: readonly number[]): Promise<Read> {
    const T = ids.length / rows.length;
    const buffers = this.#buffers(first, rows.length, T, wanted.length);
    buffers.fill(
      ids,
      rows.map((r) => r.length),
      wanted,
    );
    await this.session.run(buffers.feeds, buffers.into);
    for (const row of rows) row.length += T;
    return buffers.read;
  }

  /** Those of steps are kept. */
  #buffers(first: number, B: number, T: number, R: number): RunBuffers {
    const { vocabularySize, hiddenSize } = this.graph;
    if (this.#results.logits.length < R * vocabularySize)
      this.#results = { ...this.graph, logits: new Float32Array(R * vocabularySize), hidden: new Float32Array(R * hiddenSize) };
    const cache = this.#slab.current.held(first, B);
    const isStep = first === 0 && T === 1 && R === B;
    const known = isStep ? this.#steps.get(cache) : undefined;
    if (known?.results === this.#results) return known;
    const made = new RunBuffers(B, T, R, cache, this.#results);
    if (isStep) this.#steps.set(cache, made);
    return made;
  }
}

const rowsFor = (sequences: number): number => 2 ** Math.ceil(Math.log2(sequences));

const tokenBytes = (cache: readonly CacheWidth[]): number => cache.reduce((n, { heads, width }) => n + 2 * 4 * heads * width, 0);
