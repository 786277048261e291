import { createHash } from "node:crypto";
import type { CacheBlock } from "./slab.ts";

interface Entry {
  readonly block: CacheBlock;
  readonly bytes: number;
}

/**
 * What prompts begin with, read before: blocks of so many tokens, each known by all tokens up to its end. Only prompts are
 * kept, and only whole blocks, so that what is found here is to the bit what would be computed.
 */
export class PrefixCache {
  /** Longest unused first. */
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(
    readonly blockTokens: number,
    private readonly mostBytes: number,
  ) {}

  /** The names of a prompt's whole blocks, in order. */
  keysOf(ids: readonly number[]): string[] {
    const hash = createHash("sha256");
    const keys: string[] = [];
    for (let at = 0; at + this.blockTokens <= ids.length; at += this.blockTokens) {
      hash.update(Int32Array.from(ids.slice(at, at + this.blockTokens)));
      keys.push(hash.copy().digest("base64"));
    }
    return keys;
  }

  find(key: string): CacheBlock | null {
    const entry = this.#entries.get(key);
    if (!entry) return null;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.block;
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  keep(key: string, block: CacheBlock): void {
    const bytes = block.reduce((n, b) => n + b.byteLength, 0);
    if (bytes > this.mostBytes || this.#entries.has(key)) return;
    this.#entries.set(key, { block, bytes });
    this.#bytes += bytes;
    for (const [oldest, { bytes: freed }] of this.#entries) {
      if (this.#bytes <= this.mostBytes) break;
      this.#entries.delete(oldest);
      this.#bytes -= freed;
    }
  }
}
