import { Channel } from "../channel.ts";
import { EspalierError } from "../errors.ts";
import type { ChatMessage, ChatTemplate } from "../text/chat-template.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { Choice, type ChoiceOptions, type FinishReason, type TextChunk } from "./choice.ts";
import type { Engine } from "./engine.ts";

export interface TextOptions extends ChoiceOptions {
  /** A text to go on from, or a conversation to answer. */
  readonly prompt: string | readonly ChatMessage[];
  /** What the answer to a conversation begins with: it is read after what the template writes. */
  readonly answerBegins?: string;
  /** Texts to write, with seeds that count up. */
  readonly n?: number;
  /** Leave out the beginning of a prompt that is too long for the context, rather than refuse it. */
  readonly truncatePrompt?: boolean;
  readonly timeLimitMs?: number;
  /** Who asks. */
  readonly client?: string;
}

export interface TextSummary {
  readonly index: number;
  readonly finishReason: FinishReason;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly timeToFirstTokenMs: number;
  /** Tokens written per second, after the first. */
  readonly tokensPerSecond: number;
  /** Why the model is served slower than it could be; null if it is not. */
  readonly limitation: string | null;
}

/** A piece of a text, or how one of the texts went. */
export type TextEvent = TextChunk | { readonly summary: TextSummary };

/** A model that is loaded, with what turns its tokens into text. */
export interface ServedModel {
  readonly engine: Engine;
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate | null;
}

/**
 * Continues a text, or answers a conversation. The prompt begins as the model's documents do, and the answer ends where the
 * model ends a document. Gives the summaries, one for each text.
 *
 * @throws EspalierError PROMPT_EMPTY, PROMPT_TOO_LONG, CHAT_TEMPLATE_MISSING, INVALID_CHAT_TEMPLATE, UNKNOWN_TOKEN, OVERLOADED;
 *   TIME_LIMIT if time is up before the first token; the signal's reason once it is aborted
 */
export async function* generate(
  served: ServedModel,
  options: TextOptions,
  signal: AbortSignal = new AbortController().signal,
): AsyncGenerator<TextEvent, readonly TextSummary[]> {
  const { engine, tokenizer } = served;
  const begun = performance.now();
  const { promptIds, maxTokens } = fitted(promptOf(served, options), options, engine.decoder.contextLength);
  requireTokens(options, engine.decoder.vocabularySize);
  const timeUp = new AbortController();
  const timer = setTimeout(
    () => timeUp.abort(new EspalierError("TIME_LIMIT", `no token came within ${options.timeLimitMs} ms`)),
    options.timeLimitMs ?? 2 ** 31 - 1,
  );
  const left = new AbortController();
  const ended = AbortSignal.any([signal, left.signal, timeUp.signal]);
  const events = new Channel<TextEvent>();
  const summaries: TextSummary[] = [];

  const write = async (index: number): Promise<void> => {
    const own = { ...options, maxTokens, seed: (options.seed + index) >>> 0 };
    const choice = new Choice(index, options.client ?? "", promptIds, own, tokenizer, ended, (chunk) => events.push(chunk));
    await engine.run(choice).catch((error) => {
      // What has been written counts.
      if (!timeUp.signal.aborted || signal.aborted || choice.completionTokens === 0) throw error;
      choice.timeUp();
    });
    const { completionTokens, firstTokenAt, lastTokenAt, finishReason } = choice;
    const summary: TextSummary = {
      index,
      finishReason: finishReason as FinishReason,
      promptTokens: promptIds.length,
      completionTokens,
      timeToFirstTokenMs: completionTokens > 0 ? firstTokenAt - begun : performance.now() - begun,
      tokensPerSecond: completionTokens > 1 ? ((completionTokens - 1) * 1000) / Math.max(lastTokenAt - firstTokenAt, 0.001) : 0,
      limitation: engine.decoder.limitation,
    };
    summaries.push(summary);
    events.push({ summary });
  };
  const all = Promise.all(Array.from({ length: options.n ?? 1 }, (_, index) => write(index))).then(
    () => events.end(),
    (error) => {
      left.abort(error);
      events.fail(error);
    },
  );
  try {
    yield* events.taken();
    return summaries.sort((a, b) => a.index - b.index);
  } finally {
    clearTimeout(timer);
    left.abort(new EspalierError("CLIENT_LEFT", "nobody reads on"));
    await all;
  }
}

/** @throws EspalierError CHAT_TEMPLATE_MISSING, INVALID_CHAT_TEMPLATE */
function promptOf({ tokenizer, chatTemplate }: ServedModel, { prompt, answerBegins = "" }: TextOptions): number[] {
  if (typeof prompt === "string") return tokenizer.encodeDocument(prompt);
  if (!chatTemplate) throw new EspalierError("CHAT_TEMPLATE_MISSING", "the model has no chat template: give it a text instead of messages");
  // A template writes the beginning of the document itself.
  return tokenizer.encode(chatTemplate(prompt) + answerBegins);
}

/** @throws EspalierError PROMPT_TOO_LONG */
function fitted(
  ids: readonly number[],
  { maxTokens, truncatePrompt }: TextOptions,
  context: number | null,
): { readonly promptIds: readonly number[]; readonly maxTokens: number } {
  if (context === null) return { promptIds: ids, maxTokens };
  if (ids.length < context) {
    if (!truncatePrompt || ids.length + maxTokens <= context)
      return { promptIds: ids, maxTokens: Math.min(maxTokens, context - ids.length) };
  } else if (!truncatePrompt)
    throw new EspalierError(
      "PROMPT_TOO_LONG",
      `the prompt has ${ids.length} tokens; the model's context of ${context} leaves no room for an answer`,
      { promptTokens: ids.length, contextLength: context },
    );
  const answer = Math.min(maxTokens, context - 1);
  return { promptIds: ids.slice(-(context - answer)), maxTokens: answer };
}

function requireTokens({ logitBias = [] }: TextOptions, vocabularySize: number): void {
  const unknown = logitBias.find(({ tokenId }) => !(tokenId >= 0 && tokenId < vocabularySize));
  if (unknown)
    throw new EspalierError("UNKNOWN_TOKEN", `the model has no token ${unknown.tokenId}: its vocabulary has ${vocabularySize}`, {
      tokenId: unknown.tokenId,
      vocabularySize,
    });
}
