import type { Likelihood, Past } from "./likelihood.ts";

/** How fast a model runs on this machine as it is now, medians of a few runs. */
export interface Speed {
  /** Reading one prompt. */
  readonly prefillTokensPerSecond: number;
  /** One token after another, one stream: with the cache, or reading everything again where there is none. */
  readonly decodeTokensPerSecond: number;
}

/** Runs before those that count: the first after loading are slow. */
const warmUps = 2;
const repeats = 5;
const decodePrompt = 16;
const decodeTokens = 32;

/** @param prompt some text of the model's own tokens, which of them makes no difference */
export async function measureSpeed(model: Likelihood, prompt: readonly number[]): Promise<Speed> {
  return {
    prefillTokensPerSecond: await median(async () => {
      const begun = performance.now();
      await model.judge([{ ids: prompt, targets: [0] }]);
      return perSecond(prompt.length, begun);
    }),
    decodeTokensPerSecond: await median(() => decodeOnce(model, prompt.slice(0, decodePrompt))),
  };
}

/** Tokens per second after the prompt. */
async function decodeOnce(model: Likelihood, prompt: readonly number[]): Promise<number> {
  let past: Past = model.start;
  if (model.hasCache) past = await model.read(past, [prompt]);
  const begun = performance.now();
  for (let n = 1; n <= decodeTokens; n++) {
    const next = prompt[n % prompt.length] as number;
    if (model.hasCache) past = await model.read(past, [[next]]);
    else
      await model.judge([
        { ids: Array.from({ length: prompt.length + n }, (_, i) => prompt[i % prompt.length] as number), targets: [next] },
      ]);
  }
  return perSecond(decodeTokens, begun);
}

const perSecond = (count: number, begun: number): number => (1000 * count) / (performance.now() - begun);

async function median(measure: () => Promise<number>): Promise<number> {
  const values: number[] = [];
  for (let i = 0; i < warmUps + repeats; i++) values.push(await measure());
  return values.slice(warmUps).sort((a, b) => a - b)[Math.floor(repeats / 2)] as number;
}
