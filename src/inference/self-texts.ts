import { EspalierError } from "../errors.ts";
import { told } from "../finished.ts";
import { numberAt } from "../number-at.ts";
import { randomInteger, seededRandom } from "../random.ts";
import type { SelfTextOptions } from "../text/self-text-options.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { continueAll, openForAll, type Prompt } from "./continue-all.ts";
import type { DecoderOptions } from "./open-decoder.ts";

export interface SelfTexts {
  readonly texts: readonly string[];
  readonly tokens: number;
}

/** Texts that are written before it is seen whether they are enough. */
const perRound = 64;
/** Texts of hardly a token each are none to learn from. */
const leastMean = 8;

/**
 * Texts that a model writes by itself, sampled by the engine that serves, until there are enough. The same model, options and seed give the same texts.
 * Yields how many tokens there are.
 *
 * @throws EspalierError SELF_TEXT_TOO_SHORT if the model ends nearly all texts at once; PROMPT_TOO_LONG; what openDecoder throws
 */
export async function* selfTexts(
  model: DecoderOptions,
  tokenizer: Tokenizer,
  options: SelfTextOptions,
  seed: number,
): AsyncGenerator<number, SelfTexts> {
  const engine = await openForAll(model);
  try {
    const context = engine.decoder.contextLength ?? Number.POSITIVE_INFINITY;
    const prompts = (options.prompts.length > 0 ? options.prompts : [""]).map((prompt) => tokenizer.encodeDocument(prompt));
    const mayCome = Array.from({ length: tokenizer.vocabularySize }, (_, id) => id).filter((id) => !tokenizer.specialTokens.has(id));
    const promptOf = (text: number): Prompt => {
      const random = seededRandom(seed, `self/beginning/${text}`);
      const prompt = prompts[text % prompts.length] ?? [];
      // Where nothing begins a document, a model asks for a token to go on from.
      const count = Math.max(options.randomTokens, prompt.length === 0 ? 1 : 0);
      const drawn = Array.from({ length: count }, () => numberAt(mayCome, randomInteger(random, mayCome.length)));
      const ids = [...prompt, ...drawn];
      const maxTokens = Math.min(options.textTokens, context) - ids.length;
      if (maxTokens >= 1) return { ids, maxTokens };
      throw new EspalierError(
        "PROMPT_TOO_LONG",
        `a prompt of ${ids.length} tokens leaves no room in texts of ${Math.min(options.textTokens, context)}`,
        { promptTokens: ids.length },
      );
    };
    const isEnd = (id: number | undefined): boolean => id !== undefined && tokenizer.eosIds.includes(id);
    const texts: string[] = [];
    let tokens = 0;
    while (tokens < options.tokens) {
      const first = texts.length;
      const own = Array.from({ length: perRound }, (_, i) => promptOf(first + i));
      const sampling = (i: number) => ({
        temperature: options.temperature,
        topK: 0,
        topP: options.topP,
        seed: (seed * 1_000_003 + first + i) >>> 0,
      });
      const steps = continueAll(engine, own, { sampling, ends: (_, written) => isEnd(written.at(-1)) });
      const before = tokens;
      const all = yield* told(steps, () => before);
      for (const [i, written] of all.entries()) {
        if (tokens >= options.tokens) break;
        const whole = [...(own[i] as Prompt).ids, ...(isEnd(written.at(-1)) ? written.slice(0, -1) : written)];
        texts.push(tokenizer.decode(whole));
        tokens += whole.length;
      }
      if (tokens < Math.min(leastMean, options.textTokens / 2) * texts.length)
        throw new EspalierError(
          "SELF_TEXT_TOO_SHORT",
          `of ${texts.length} texts that the model wrote by itself ${tokens} tokens came, for it ends them at once: give it prompts to begin with`,
          { texts: texts.length, tokens },
        );
      yield Math.min(tokens, options.tokens);
    }
    return { texts, tokens };
  } finally {
    await engine.close();
  }
}
