import { numberAt } from "../number-at.ts";
import { StreamDecoder } from "../text/stream-decoder.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Read, Wanted } from "./decoder.ts";
import type { Work } from "./engine.ts";
import { logProbabilities, Sampler, type SamplerOptions, type TokenProbability } from "./sampler.ts";
import { StopStrings } from "./stop-strings.ts";

/** STOP: the model ended its text, or a stop string was reached. LENGTH: the limit of tokens, or the model's context. TIME: the limit of time. */
export type FinishReason = "STOP" | "LENGTH" | "TIME";

/** A token's log probability, and its text by itself. */
export interface NamedProbability extends TokenProbability {
  readonly text: string;
}

/** A token's log probability, with those of the most probable ones in its place. */
export interface TokenLogprob extends NamedProbability {
  readonly top: readonly NamedProbability[];
}

/** Whole Unicode text; a token that ends inside a character is held back until the rest comes. */
export interface TextChunk {
  /** Which of the texts that were asked for. */
  readonly index: number;
  readonly text: string;
  readonly tokenIds: readonly number[];
  /** One for each token, if they were asked for. */
  readonly logprobs: readonly TokenLogprob[] | null;
}

export interface ChoiceOptions extends SamplerOptions {
  readonly maxTokens: number;
  readonly stop?: readonly string[];
  /** Log probabilities of each token, and of so many of the most probable ones; null for none. */
  readonly topLogprobs?: number | null;
  /** Give the prompt out first. */
  readonly echo?: boolean;
  /** Pieces that come within so many milliseconds of the last are given out together: a fast model would else spend its time on messages. */
  readonly gatherMs?: number;
}

/** One text being written. */
export class Choice implements Work {
  readonly skippable: number;
  readonly maxTokens: number;
  completionTokens = 0;
  finishReason: FinishReason | null = null;
  firstTokenAt = 0;
  lastTokenAt = 0;
  readonly #sampler: Sampler;
  readonly #decoder: StreamDecoder;
  readonly #stop: StopStrings;
  readonly #eos: ReadonlySet<number>;
  #pending: number[] = [];
  #logprobs: TokenLogprob[] = [];
  /** Text that waits to be given out with what follows, and when some last was. */
  #gathered = "";
  #givenAt = 0;
  /** Of the prompt's tokens but the first, for which there is none. */
  readonly #echoed: TokenLogprob[] = [];

  constructor(
    readonly index: number,
    readonly client: string,
    readonly promptIds: readonly number[],
    private readonly options: ChoiceOptions,
    private readonly tokenizer: Tokenizer,
    readonly signal: AbortSignal,
    private readonly emit: (chunk: TextChunk) => void,
  ) {
    this.maxTokens = options.maxTokens;
    this.skippable = this.#echoesLogprobs ? 0 : promptIds.length;
    this.#sampler = new Sampler(options, promptIds);
    // The last tokens are context enough to know how text goes on.
    this.#decoder = new StreamDecoder(tokenizer, promptIds.slice(-32));
    this.#stop = new StopStrings(options.stop ?? [], tokenizer.specialTokens);
    this.#eos = new Set(tokenizer.eosIds);
  }

  get #echoesLogprobs(): boolean {
    return this.options.echo === true && this.options.topLogprobs != null;
  }

  wants(from: number, to: number): Wanted {
    const count = to - from;
    if (this.#echoesLogprobs) return { logits: Array.from({ length: count }, (_, i) => i) };
    return to === this.promptIds.length ? { logits: [count - 1] } : {};
  }

  read(from: number, { logits }: Read): number | null {
    if (this.#echoesLogprobs)
      for (const [i, row] of logits.entries()) {
        const next = this.promptIds[from + i + 1];
        if (next !== undefined) this.#echoed.push(this.#told(row, next));
      }
    const last = logits.at(-1);
    if (!last || (this.#echoesLogprobs && from + logits.length < this.promptIds.length)) return null;
    if (this.options.echo) this.#echo();
    return this.step(last);
  }

  step(logits: Float32Array): number | null {
    const id = this.#sampler.next(logits);
    if (this.#eos.has(id)) return this.#finish("STOP");
    const now = performance.now();
    if (this.completionTokens++ === 0) this.firstTokenAt = now;
    this.lastTokenAt = now;
    this.#pending.push(id);
    if (this.options.topLogprobs != null) this.#logprobs.push(this.#told(logits, id));
    const special = this.tokenizer.specialTokens.has(id) ? id : undefined;
    const { text, stopped } = this.#stop.push(this.#decoder.push(id), special);
    if (text !== "") this.#give(text, stopped);
    if (stopped) return this.#finish("STOP", false);
    return this.completionTokens === this.maxTokens ? this.#finish("LENGTH") : id;
  }

  #named(each: TokenProbability): NamedProbability {
    return { ...each, text: this.tokenizer.decode([each.tokenId]) };
  }

  #told(logits: Float32Array, id: number): TokenLogprob {
    const { top, ...own } = logProbabilities(logits, id, this.options.topLogprobs ?? 0);
    return { ...this.#named(own), top: top.map((each) => this.#named(each)) };
  }

  /** Ends the text where it is. */
  timeUp(): void {
    this.#finish("TIME");
  }

  #finish(reason: FinishReason, flush = true): null {
    const { text, stopped } = flush ? this.#stop.push(this.#decoder.flush()) : { text: "", stopped: true };
    const rest = stopped ? text : text + this.#stop.flush();
    if (rest !== "" || this.#pending.length > 0) this.#give(rest, true);
    this.finishReason = stopped ? "STOP" : reason;
    return null;
  }

  #give(text: string, last = false): void {
    this.#gathered += text;
    const now = performance.now();
    if (!last && now - this.#givenAt < (this.options.gatherMs ?? 0)) return;
    const logprobs = this.options.topLogprobs == null ? null : this.#logprobs;
    this.emit({ index: this.index, text: this.#gathered, tokenIds: this.#pending, logprobs });
    this.#pending = [];
    this.#logprobs = [];
    this.#gathered = "";
    this.#givenAt = now;
  }

  #echo(): void {
    const { promptIds, tokenizer } = this;
    const first = { ...this.#named({ tokenId: numberAt(promptIds, 0), logprob: 0 }), top: [] };
    const logprobs = this.#echoesLogprobs ? [first, ...this.#echoed] : null;
    this.emit({ index: this.index, text: tokenizer.decode(promptIds), tokenIds: promptIds, logprobs });
  }
}
