import { largest } from "../large-lists.ts";
import { numberAt } from "../number-at.ts";
import { type Held, hold } from "../runtime/in-place.ts";
import type { TensorArray, TensorValue } from "../runtime/session.ts";
import { ports } from "../serving-graph/ports.ts";
import type { Read } from "./decoder.ts";

/** A part of the cache, as a run takes it and leaves it. */
export interface HeldCache {
  readonly past: Held;
  readonly present: Held;
}

/** Where runs leave logits [R, V] and hidden states [R, H], R being as many rows as the arrays have room for. */
export interface Results {
  readonly logits: Float32Array;
  readonly hidden: Float32Array;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
}

/** What runs of B sequences by T tokens are fed, and where they leave R rows: made once for all runs of one form, for making it takes as long as a small model's step. */
export class RunBuffers {
  readonly feeds: Held;
  readonly into: Held;
  readonly read: Read;
  readonly #tokens: BigInt64Array;
  readonly #positions: BigInt64Array;
  readonly #lengths: Int32Array;
  readonly #total = new Int32Array(1);
  readonly #rows: BigInt64Array;

  constructor(
    private readonly B: number,
    private readonly T: number,
    R: number,
    cache: HeldCache,
    readonly results: Results,
  ) {
    this.#tokens = new BigInt64Array(B * T);
    this.#positions = new BigInt64Array(B * T);
    this.#lengths = new Int32Array(B);
    this.#rows = new BigInt64Array(R);
    const { logits, hidden, vocabularySize, hiddenSize } = results;
    this.feeds = {
      ...hold({
        [ports.tokens]: tensor("int64", [B, T], this.#tokens),
        [ports.positions]: tensor("int64", [B, T], this.#positions),
        [ports.lengths]: tensor("int32", [B], this.#lengths),
        [ports.total]: tensor("int32", [], this.#total),
        [ports.rows]: tensor("int64", [R], this.#rows),
      }),
      ...cache.past,
    };
    this.into = {
      ...hold({
        [ports.logits]: tensor("float32", [R, vocabularySize], logits.subarray(0, R * vocabularySize)),
        [ports.hidden]: tensor("float32", [R, hiddenSize], hidden.subarray(0, R * hiddenSize)),
      }),
      ...cache.present,
    };
    const cut = (data: Float32Array, size: number) => Array.from({ length: R }, (_, i) => data.subarray(i * size, (i + 1) * size));
    this.read = { logits: cut(logits, vocabularySize), hidden: cut(hidden, hiddenSize) };
  }

  /**
   * @param ids [B * T]
   * @param lengths of the sequences so far, [B]
   * @param wanted which of the B * T tokens results are wanted for, [R]
   */
  fill(ids: readonly number[], lengths: readonly number[], wanted: readonly number[]): void {
    const { B, T } = this;
    for (let b = 0; b < B; b++) {
      const length = numberAt(lengths, b);
      for (let t = 0; t < T; t++) {
        this.#tokens[b * T + t] = BigInt(numberAt(ids, b * T + t));
        this.#positions[b * T + t] = BigInt(length + t);
      }
      this.#lengths[b] = length + T - 1;
    }
    this.#total[0] = largest(lengths) + T;
    for (const [i, at] of wanted.entries()) this.#rows[i] = BigInt(at);
  }
}

const tensor = (dataType: TensorValue["dataType"], dims: readonly number[], data: TensorArray): TensorValue => ({ dataType, dims, data });
