import type { Read } from "../inference/decoder.ts";
import { Engine, type Work } from "../inference/engine.ts";
import { type DecoderOptions, openDecoder } from "../inference/open-decoder.ts";
import { sample } from "../inference/sampling.ts";
import { seededRandom } from "../random.ts";

/** What to go on from, and how far. */
export interface GreedyPrompt {
  readonly ids: readonly number[];
  /** At most. */
  readonly maxTokens: number;
}

/** Prompts that wait at the engine together: enough to fill its places again and again. */
const atOnce = 64;

/** One text's most probable tokens, one after another. */
class Greedy implements Work {
  readonly client = "evaluation";
  readonly skippable = 0;
  readonly tokens: number[] = [];

  constructor(
    private readonly prompt: GreedyPrompt,
    private readonly ends: (tokens: readonly number[]) => boolean,
    readonly signal: AbortSignal,
  ) {}

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
    this.tokens.push(sample(logits, { temperature: 0, topK: 0, topP: 1 }, never));
    return this.tokens.length < this.maxTokens && !this.ends(this.tokens) ? (this.tokens.at(-1) as number) : null;
  }
}

/** Of the most probable token chance has no part. */
const never = seededRandom(0, "greedy");

/** The engine that serves a model, with room for as many prompts as are put to it at once. @throws EspalierError what openDecoder throws */
export const openGreedy = async (options: DecoderOptions): Promise<Engine> =>
  new Engine(await openDecoder(options), { queue: atOnce, perClient: atOnce });

/**
 * What a model writes after prompts, always its most probable token. Yields how many prompts are done.
 *
 * @param engine of `openGreedy`
 * @param ends whether tokens written so far are all there is; what is asked for is never exceeded
 * @returns for each prompt the tokens after it
 * @throws EspalierError PROMPT_EMPTY, PROMPT_TOO_LONG, NON_FINITE_LOGITS
 */
export async function* continueGreedily(
  engine: Engine,
  prompts: readonly GreedyPrompt[],
  ends: (prompt: number, tokens: readonly number[]) => boolean = () => false,
): AsyncGenerator<number, number[][]> {
  const left = new AbortController();
  const written: number[][] = [];
  for (let at = 0; at < prompts.length; at += atOnce) {
    const works = prompts.slice(at, at + atOnce).map((prompt, i) => new Greedy(prompt, (tokens) => ends(at + i, tokens), left.signal));
    const runs = works.map((work) => engine.run(work));
    try {
      await Promise.all(runs);
    } catch (error) {
      left.abort(error);
      await Promise.allSettled(runs);
      throw error;
    }
    written.push(...works.map((work) => work.tokens));
    yield written.length;
  }
  return written;
}
