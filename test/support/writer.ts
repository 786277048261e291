import type { TextChunk } from "../../src/inference/choice.ts";
import { Engine, type EngineLimits } from "../../src/inference/engine.ts";
import { generate, type ServedModel, type TextOptions, type TextSummary } from "../../src/inference/generate.ts";
import { type DecoderOptions, openDecoder } from "../../src/inference/open-decoder.ts";
import { loadChatTemplate } from "../../src/text/chat-template.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";

/** A model ready to write, in this process. */
export async function openWriter(folder: string, options: Partial<DecoderOptions> = {}, limits?: EngineLimits): Promise<ServedModel> {
  const [tokenizer, chatTemplate, decoder] = await Promise.all([
    loadTokenizer(folder),
    loadChatTemplate(folder),
    openDecoder({ folder, executionProvider: "CPU", threads: 1, ...options }),
  ]);
  return { tokenizer, chatTemplate, engine: new Engine(decoder, limits) };
}

export const greedy = { temperature: 0, topK: 0, topP: 1, seed: 0, maxTokens: 40 } as const;

export interface Written {
  readonly chunks: readonly TextChunk[];
  readonly summaries: readonly TextSummary[];
  readonly text: string;
  readonly tokenIds: readonly number[];
}

/** All that one request gives; of several texts, one after another. */
export async function written(writer: ServedModel, options: TextOptions, signal?: AbortSignal): Promise<Written> {
  const chunks: TextChunk[] = [];
  const steps = generate(writer, options, signal);
  for (let step = await steps.next(); ; step = await steps.next()) {
    if (step.done) {
      const ordered = chunks.toSorted((a, b) => a.index - b.index);
      return { chunks, summaries: step.value, text: ordered.map((c) => c.text).join(""), tokenIds: ordered.flatMap((c) => c.tokenIds) };
    }
    if ("text" in step.value) chunks.push(step.value);
  }
}
