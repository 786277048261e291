import type { Decoder } from "../inference/decoder.ts";
import { type DecoderOptions, openDecoder } from "../inference/open-decoder.ts";
import { numberAt } from "../number-at.ts";

export interface Speed {
  /** Reading one prompt. */
  readonly prefillTokensPerSecond: number;
  /** One stream, as the server writes it. */
  readonly decodeTokensPerSecond: number;
}

/** Runs before those that count: the first after loading are slow. */
const warmUps = 2;
const repeats = 5;
const decodePrompt = 16;
const decodeTokens = 32;

/** The median of a few runs each, of this machine as it is now, with the model opened as for serving. */
export async function measureSpeed(options: DecoderOptions, prompt: readonly number[]): Promise<Speed> {
  const decoder = await openDecoder(options);
  try {
    const runs: { prefill: number; decode: number }[] = [];
    for (let i = 0; i < warmUps + repeats; i++) {
      const prefill = await readOnce(decoder, prompt, 0);
      runs.push({ prefill: prefill.prompt, decode: (await readOnce(decoder, prompt.slice(0, decodePrompt), decodeTokens)).decode });
    }
    const median = (values: readonly number[]) =>
      numberAt(
        values.slice(warmUps).sort((a, b) => a - b),
        Math.floor(repeats / 2),
      );
    return {
      prefillTokensPerSecond: median(runs.map((r) => r.prefill)),
      decodeTokensPerSecond: median(runs.map((r) => r.decode)),
    };
  } finally {
    await decoder.close();
  }
}

/** Tokens per second of reading a prompt, and of steps after it. */
async function readOnce(decoder: Decoder, prompt: readonly number[], steps: number): Promise<{ prompt: number; decode: number }> {
  const room = Math.min(prompt.length + steps, decoder.contextLength ?? Number.POSITIVE_INFINITY);
  const sequence = decoder.begin(prompt, room, 0);
  let begun = performance.now();
  for (let at = 0; at < prompt.length; at += decoder.blockTokens) {
    const block = prompt.slice(at, at + decoder.blockTokens);
    await decoder.read(sequence, block, at + block.length === prompt.length ? { logits: [block.length - 1] } : {});
  }
  const read = perSecond(prompt.length, begun);
  begun = performance.now();
  for (let n = prompt.length; n < room; n++) await decoder.step([sequence], [numberAt(prompt, 0)]);
  const decode = perSecond(room - prompt.length, begun);
  decoder.end(sequence);
  return { prompt: read, decode };
}

const perSecond = (count: number, begun: number): number => (1000 * count) / (performance.now() - begun);
