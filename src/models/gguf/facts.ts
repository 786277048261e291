import { EspalierError } from "../../errors.ts";
import { isWhole } from "../../is-whole.ts";
import type { Metadata, Value } from "./container.ts";

/** What of a GGUF file, or of one that is to be written, says what the model computes. */
export interface Described {
  readonly metadata: Metadata;
  /** Shapes by name, the axis that lies together last. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** The elements of a small tensor. */
  readonly numbers: (name: string) => Float32Array;
  /** What the file is called in messages. */
  readonly file: string;
}

/**
 * Keys of an architecture that say nothing of its arithmetic, or that every reader works out from the tensors. Of norms' epsilons converters
 * state both kinds, where a model has one.
 */
const idle = [
  "vocab_size",
  "context_length",
  "attention.causal",
  "attention.layer_norm_epsilon",
  "attention.layer_norm_rms_epsilon",
  "expert_count",
  "rope.scaling.finetuned",
  "tensor_data_layout",
];

const layersMost = 1000;

/** The metadata of one architecture, and which of its keys have been read: what nobody has read could change the numbers. */
export class Facts {
  readonly #read = new Set<string>();

  constructor(
    readonly described: Described,
    readonly architecture: string,
  ) {}

  /** Undefined if the file does not state it. */
  value(key: string): Value | undefined {
    this.#read.add(key);
    return this.described.metadata.get(`${this.architecture}.${key}`);
  }

  /** @throws EspalierError INVALID_GGUF */
  number(key: string, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    return typeof value === "number" && Number.isFinite(value) ? value : this.#wrong(key, value, "a number");
  }

  optional = (key: string): number | undefined => (this.value(key) === undefined ? undefined : this.number(key));

  /** A whole number of at least 1. @throws EspalierError INVALID_GGUF */
  count(key: string, fallback?: number): number {
    const value = this.value(key) ?? fallback;
    return isWhole(value, 1) ? value : this.#wrong(key, value, "a whole number of at least 1");
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.value(key) ?? fallback;
    return typeof value === "boolean" ? value : this.#wrong(key, value, "true or false");
  }

  text(key: string): string | undefined {
    const value = this.value(key);
    return value === undefined || typeof value === "string" ? value : this.#wrong(key, value, "a text");
  }

  get layers(): number {
    const layers = this.count("block_count");
    return layers <= layersMost ? layers : this.#wrong("block_count", layers, `at most ${layersMost}`);
  }

  /** A number for each layer: the file states one for all, or a list. @throws EspalierError INVALID_GGUF */
  perLayer(key: string, fallback?: readonly number[]): readonly number[] {
    const { layers } = this;
    const value = this.value(key);
    if (value === undefined && fallback) return fallback;
    if (Array.isArray(value)) {
      if (value.length === layers && value.every((v) => isWhole(v))) return value;
      return this.#wrong(key, value, `a list of ${layers} whole numbers`);
    }
    return new Array<number>(layers).fill(this.count(key));
  }

  /** The whole names of the keys that have been read. */
  keysRead = (): ReadonlySet<string> =>
    new Set([...this.#read].map((key) => `${this.architecture}.${key}`).concat(`${this.architecture}.vocab_size`));

  /** Whether there is a tensor of that name; of a layer's, in the first layer. */
  has = (name: string): boolean => this.described.shapes.has(name) || this.described.shapes.has(`blk.0.${name}`);

  shape(name: string): readonly number[] {
    const found = this.described.shapes.get(name);
    if (found) return found;
    throw new EspalierError("INVALID_GGUF", `${this.described.file}: there is no tensor "${name}"`, {
      file: this.described.file,
      tensor: name,
    });
  }

  numbers = (name: string): Float32Array => this.described.numbers(name);

  /** @throws EspalierError UNSUPPORTED_GGUF always, with the key, its value and what is supported */
  refuse(key: string, supported: string): never {
    const [name, value] = [`${this.architecture}.${key}`, this.value(key)];
    throw new EspalierError(
      "UNSUPPORTED_GGUF",
      `${this.described.file}: metadata "${name}" is ${shown(value)}; supported are ${supported}`,
      { file: this.described.file, key: name },
    );
  }

  /** Refuses what the architecture has been told and nobody has read. Zeros and what is empty say that something is absent. */
  requireAllRead(): void {
    for (const [name, value] of this.described.metadata) {
      const key = name.startsWith(`${this.architecture}.`) ? name.slice(this.architecture.length + 1) : null;
      if (key === null || this.#read.has(key) || idle.includes(key) || value === 0 || value === false || value === "none") continue;
      throw new EspalierError(
        "UNSUPPORTED_GGUF",
        `${this.described.file}: metadata "${name}" is ${shown(value)}, which is not known of this architecture, so it could change what the model computes`,
        { file: this.described.file, key: name },
      );
    }
  }

  #wrong(key: string, value: unknown, expected: string): never {
    const name = `${this.architecture}.${key}`;
    throw new EspalierError("INVALID_GGUF", `${this.described.file}: metadata "${name}" is ${shown(value)}; ${expected} was expected`, {
      file: this.described.file,
      key: name,
    });
  }
}

const shown = (value: unknown): string => (value === undefined ? "not stated" : JSON.stringify(value).slice(0, 100));
