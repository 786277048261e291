import { AutoModelForCausalLM, BaseStreamer, env, Tensor } from "@huggingface/transformers";
import { Choice } from "../../../src/inference/choice.ts";
import { Engine } from "../../../src/inference/engine.ts";
import { openDecoder } from "../../../src/inference/open-decoder.ts";
import { loadTokenizer, type Tokenizer } from "../../../src/text/tokenizer.ts";

env.allowRemoteModels = false;

export interface Sample {
  /** From the request to the first token. */
  readonly promptMs: number;
  /** Of all streams together, from the first token of the last stream to begin to the last token of the first to end. */
  readonly tokensPerSecond: number;
}

/** One who continues a prompt of tokens by so many others, greedily. */
export interface Contestant {
  run(promptIds: readonly number[], tokens: number, streams: number): Promise<Sample>;
  close(): Promise<unknown>;
}

/** Times of each stream's tokens as one rate. */
export function rateOf(begun: number, streams: readonly (readonly number[])[]): Sample {
  const from = Math.max(...streams.map((times) => times[0] as number));
  const to = Math.min(...streams.map((times) => times.at(-1) as number));
  const within = streams.reduce((n, times) => n + times.filter((t) => t > from && t <= to).length, 0);
  return { promptMs: Math.min(...streams.map((t) => t[0] as number)) - begun, tokensPerSecond: (1000 * within) / (to - from) };
}

/** The engine, called directly in this process. */
export async function ours(folder: string, threads: number | undefined): Promise<Contestant & { readonly tokenizer: Tokenizer }> {
  const tokenizer = await loadTokenizer(folder);
  const endless = { ...tokenizer, eosIds: [] };
  const decoder = await openDecoder({ folder, executionProvider: "CPU", ...(threads === undefined ? {} : { threads }) });
  if (decoder.limitation) throw new Error(decoder.limitation);
  const engine = new Engine(decoder);
  const signal = new AbortController().signal;
  return {
    tokenizer,
    async run(promptIds, tokens, streams) {
      const begun = performance.now();
      const all = await Promise.all(
        Array.from({ length: streams }, async (_, index) => {
          const times: number[] = [];
          const options = { temperature: 0, topK: 0, topP: 1, seed: 0, maxTokens: tokens };
          // Prompts differ in their first token: none is found read before.
          const ids = [promptIds[0] as number, index + 10, ...promptIds.slice(2)];
          const choice = new Choice(index, "", ids, options, endless, signal, (chunk) => {
            for (const _ of chunk.tokenIds) times.push(performance.now());
          });
          await engine.run({
            client: "",
            promptIds: ids,
            maxTokens: tokens,
            signal,
            skippable: 0,
            wants: (from, to) => choice.wants(from, to),
            read: (from, found) => choice.read(from, found),
            step: (logits) => choice.step(logits),
          });
          return times;
        }),
      );
      return rateOf(begun, all);
    },
    close: () => engine.close(),
  };
}

class Clock extends BaseStreamer {
  readonly times: number[] = [];
  override put(): void {
    this.times.push(performance.now());
  }
  override end(): void {}
}

/** transformers.js, on the same ONNX Runtime and the same file. */
export async function transformersJs(folder: string, threads: number | undefined): Promise<Contestant> {
  const model = await AutoModelForCausalLM.from_pretrained(folder, {
    dtype: "fp32",
    device: "cpu",
    local_files_only: true,
    session_options: threads === undefined ? {} : { intraOpNumThreads: threads },
  });
  return {
    async run(promptIds, tokens) {
      const long = (value: (id: number) => number) =>
        new Tensor(
          "int64",
          BigInt64Array.from(promptIds, (id) => BigInt(value(id))),
          [1, promptIds.length],
        );
      const clock = new Clock();
      const begun = performance.now();
      await model.generate({
        inputs: long((id) => id),
        attention_mask: long(() => 1),
        max_new_tokens: tokens,
        do_sample: false,
        eos_token_id: [-1],
        streamer: clock,
      } as never);
      // The first time is the prompt's.
      return rateOf(begun, [clock.times.slice(1)]);
    },
    close: () => model.dispose(),
  };
}
