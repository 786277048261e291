import { Generator } from "../inference/generator.ts";
import type { LanguageModel } from "../inference/language-model.ts";

export interface Speed {
  /** Reading one prompt. */
  readonly prefillTokensPerSecond: number;
  /** Greedy, one stream, with the cache. */
  readonly decodeTokensPerSecond: number;
}

/** Runs before those that count: the first after loading are slow. */
const warmUps = 2;
const repeats = 5;
const decodePrompt = 16;
const decodeTokens = 32;

/** The median of a few runs each, of this machine as it is now. */
export async function measureSpeed(model: LanguageModel, prompt: readonly number[]): Promise<Speed> {
  return {
    prefillTokensPerSecond: await median(async () => {
      const begun = performance.now();
      await model.read(model.start, prompt);
      return perSecond(prompt.length, begun);
    }),
    decodeTokensPerSecond: await median(() => decodeOnce(model, prompt.slice(0, decodePrompt))),
  };
}

/** Tokens per second after the first, which waits for the prompt. */
async function decodeOnce(model: LanguageModel, prompt: readonly number[]): Promise<number> {
  const greedy = { temperature: 0, topK: 0, topP: 1, seed: 0, stopIds: [], maxTokens: decodeTokens + 1 };
  const tokens = new Generator(model).generate(prompt, greedy);
  await tokens.next();
  const begun = performance.now();
  let count = 0;
  while (!(await tokens.next()).done) count++;
  return perSecond(count, begun);
}

const perSecond = (count: number, begun: number): number => (1000 * count) / (performance.now() - begun);

async function median(measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < warmUps + repeats; i++) values.push(await measure());
  return values.slice(warmUps).sort((a, b) => a - b)[Math.floor(repeats / 2)] as number;
}
