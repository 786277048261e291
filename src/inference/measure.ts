import { EspalierError } from "../errors.ts";
import { numberAt } from "../number-at.ts";
import type { PoolingMode } from "../text/pooling.ts";
import type { Read, Wanted } from "./decoder.ts";
import type { Engine, Work } from "./engine.ts";
import type { ServedModel } from "./generate.ts";
import { logProbabilities } from "./sampler.ts";
import { nonFinite } from "./sampling.ts";

export interface ScoreOptions {
  /** What goes before each continuation. */
  readonly prompt: string;
  readonly continuations: readonly string[];
  readonly client?: string;
}

export interface ContinuationScore {
  readonly tokenIds: readonly number[];
  /** Natural logarithms of the model's probabilities of the tokens, each after all before it. */
  readonly tokenLogprobs: readonly number[];
  /** Their sum. */
  readonly logprob: number;
  /** Whether each token was the most probable one. */
  readonly isGreedy: boolean;
}

/**
 * How probable a model finds each continuation of a text. Prompt and continuation are read as one text, split where the tokens
 * of the prompt alone end; if the two meet inside a token, the continuation begins with that token.
 *
 * @throws EspalierError CONTINUATION_EMPTY, NON_FINITE_LOGITS; PROMPT_TOO_LONG, PROMPT_EMPTY, OVERLOADED; the signal's reason
 */
export function score({ engine, tokenizer }: ServedModel, options: ScoreOptions, signal: AbortSignal): Promise<ContinuationScore[]> {
  const alone = tokenizer.encodeDocument(options.prompt);
  return Promise.all(
    options.continuations.map(async (text, index) => {
      const ids = tokenizer.encodeDocument(options.prompt + text);
      let begins = 0;
      while (begins < Math.min(alone.length, ids.length - 1) && alone[begins] === ids[begins]) begins++;
      if (text === "" || ids.length === 0) throw new EspalierError("CONTINUATION_EMPTY", `continuation ${index} has no text`, { index });
      // The first token of all has nothing that predicts it.
      begins = Math.max(1, begins);
      const found: { logprob: number; best: boolean }[] = [];
      await readOnly(
        engine,
        ids,
        options.client,
        signal,
        begins - 1,
        (from, to) => ({ logits: positions(from, to, begins - 1, ids.length - 1) }),
        (from, { logits }) => {
          const first = Math.max(from, begins - 1);
          for (const [i, row] of logits.entries()) {
            const id = numberAt(ids, first + i + 1);
            const { logprob, top } = logProbabilities(row, id, 1);
            found.push({ logprob, best: top[0]?.tokenId === id });
          }
        },
      );
      const tokenLogprobs = found.map((f) => f.logprob);
      return {
        tokenIds: ids.slice(begins),
        tokenLogprobs,
        logprob: tokenLogprobs.reduce((a, b) => a + b, 0),
        isGreedy: found.every((f) => f.best),
      };
    }),
  );
}

export interface EmbedOptions {
  readonly texts: readonly string[];
  /** How hidden states become one vector; null: as the model has it, else their mean. */
  readonly pooling: PoolingMode | null;
  /** Whether vectors are brought to length 1; null: as the model has it, else they are. */
  readonly normalize: boolean | null;
  readonly client?: string;
}

/**
 * Texts as vectors [H]: what the model's head reads, pooled.
 *
 * @throws EspalierError EMBEDDINGS_UNAVAILABLE if the model is served without them; NON_FINITE_LOGITS, PROMPT_TOO_LONG, PROMPT_EMPTY, OVERLOADED; the signal's reason
 */
export function embed(
  { engine, tokenizer }: ServedModel,
  { texts, pooling, normalize, client }: EmbedOptions,
  signal: AbortSignal,
): Promise<number[][]> {
  if (pooling === "CLS" || pooling === "MAX")
    throw new EspalierError(
      "UNSUPPORTED_POOLING",
      `${pooling} is for models that read texts whole: of a causal one the mean or the last token is taken`,
    );
  return Promise.all(
    texts.map(async (text) => {
      const ids = tokenizer.encodeDocument(text);
      const first = pooling === "LAST" ? ids.length - 1 : 0;
      let sum: Float64Array | undefined;
      await readOnly(
        engine,
        ids,
        client,
        signal,
        first,
        (from, to) => ({ hidden: positions(from, to, first, ids.length) }),
        (_, { hidden }) => {
          for (const row of hidden) {
            sum ??= new Float64Array(row.length);
            for (const [i, value] of row.entries()) sum[i] = (sum[i] as number) + value;
          }
        },
      );
      const total = [...(sum ?? [])];
      if (!total.every(Number.isFinite)) throw nonFinite();
      const by = (normalize ?? true) ? Math.sqrt(total.reduce((sum, x) => sum + x * x, 0)) || 1 : ids.length - first;
      return total.map((v) => v / by);
    }),
  );
}

/** Of the tokens from `from` to `to`, those from `first` to `last`, counted from `from`. */
const positions = (from: number, to: number, first: number, last: number): number[] => {
  const begin = Math.max(from, first);
  return Array.from({ length: Math.max(0, Math.min(to, last) - begin) }, (_, i) => begin - from + i);
};

/** Reads a text and writes nothing. */
function readOnly(
  engine: Engine,
  promptIds: readonly number[],
  client: string | undefined,
  signal: AbortSignal,
  skippable: number,
  wants: (from: number, to: number) => Wanted,
  take: (from: number, found: Read) => void,
): Promise<void> {
  const work: Work = {
    client: client ?? "",
    promptIds,
    maxTokens: 0,
    signal,
    skippable,
    wants,
    read: (from, found) => {
      take(from, found);
      return null;
    },
    step: () => null,
  };
  return engine.run(work);
}
