import { append } from "../large-lists.ts";
import { numberAt } from "../number-at.ts";
import type { Read } from "./decoder.ts";
import { Engine, type Work } from "./engine.ts";
import { type DecoderOptions, openDecoder } from "./open-decoder.ts";
import { Sampler, type SamplerOptions } from "./sampler.ts";

/** What to go on from, and how far. */
export interface Prompt {
  readonly ids: readonly number[];
  /** At most. */
  readonly maxTokens: number;
}

/** Prompts that wait at the engine together: enough to fill its places again and again. */
const atOnce = 64;

/** Always the most probable token. */
const greedy: SamplerOptions = { temperature: 0, topK: 0, topP: 1, seed: 0 };

/** One text's tokens, one after another. */
class Continuation implements Work {
  readonly client = "all";
  readonly skippable = 0;
  readonly tokens: number[] = [];
  readonly #sampler: Sampler;

  constructor(
    private readonly prompt: Prompt,
    sampling: SamplerOptions,
    private readonly ends: (tokens: readonly number[]) => boolean,
    readonly signal: AbortSignal,
  ) {
    this.#sampler = new Sampler(sampling, prompt.ids);
  }

  get promptIds(): readonly number[] {
    return this.prompt.ids;
  }
  get maxTokens(): number {
    return this.prompt.maxTokens;
  }
  wants(from: number, to: number) {
    return to === this.promptIds.length ? { logits: [to - from - 1] } : {};
  }
  read(_from: number, { logits: [last] }: Read): number | null {
    return last ? this.step(last) : null;
  }
  step(logits: Float32Array): number | null {
    this.tokens.push(this.#sampler.next(logits));
    return this.tokens.length < this.maxTokens && !this.ends(this.tokens) ? numberAt(this.tokens, this.tokens.length - 1) : null;
  }
}

/** The engine that serves a model, with room for as many prompts as are put to it at once. @throws EspalierError what openDecoder throws */
export const openForAll = async (options: DecoderOptions): Promise<Engine> =>
  new Engine(await openDecoder(options), { queue: atOnce, perClient: atOnce });

/** How prompts are gone on from. */
export interface ContinueOptions {
  /** Of the i-th prompt; always the most probable token, unless something is said. */
  readonly sampling?: (prompt: number) => SamplerOptions;
  /** Whether tokens written so far are all there is; what is asked for is never exceeded. */
  readonly ends?: (prompt: number, tokens: readonly number[]) => boolean;
}

/**
 * What a model writes after prompts. The same prompts, in the same order, are read and written in the same batches each time. Yields how many are done.
 *
 * @param engine of `openForAll`
 * @returns for each prompt the tokens after it
 * @throws EspalierError PROMPT_EMPTY, PROMPT_TOO_LONG, NON_FINITE_LOGITS
 */
export async function* continueAll(
  engine: Engine,
  prompts: readonly Prompt[],
  { sampling = () => greedy, ends = () => false }: ContinueOptions = {},
): AsyncGenerator<number, number[][]> {
  const left = new AbortController();
  const written: number[][] = [];
  for (let at = 0; at < prompts.length; at += atOnce) {
    const works = prompts
      .slice(at, at + atOnce)
      .map((prompt, i) => new Continuation(prompt, sampling(at + i), (tokens) => ends(at + i, tokens), left.signal));
    const runs = works.map((work) => engine.run(work));
    try {
      await Promise.all(runs);
    } catch (error) {
      left.abort(error);
      await Promise.allSettled(runs);
      throw error;
    }
    append(
      written,
      works.map((work) => work.tokens),
    );
    yield written.length;
  }
  return written;
}
