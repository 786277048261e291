import { EspalierError } from "../errors.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Likelihood, RowLikelihood } from "./likelihood.ts";
import { type Estimate, ratioOf } from "./statistics.ts";
import { type Window, windowsOf } from "./windows.ts";

export interface TextOptions {
  /** T: tokens of a window. */
  readonly sequenceLength: number;
  /** Tokens from one window's start to the next, 1..T. */
  readonly stride: number;
  /** Stop after this many predicted tokens; null for all. */
  readonly maxTokens: number | null;
}

export interface TextResult {
  /** Tokens that were predicted. */
  readonly tokenCount: number;
  /** exp of the mean cross-entropy per token. Its standard error by the delta method, from that of the mean. */
  readonly perplexity: Estimate;
  /** Share of tokens that were the model's most probable, 0..1. */
  readonly nextTokenAccuracy: Estimate;
  /** Mean KL per token from the distribution of the model that it is held against to its own, in nats. */
  readonly divergence?: Estimate;
  /** Share of tokens at which both models find the same token most probable, 0..1. */
  readonly greedyAgreement?: Estimate;
}

export interface Progress {
  readonly done: number;
  readonly total: number;
}

/** Tokens of one run: enough to fill the cores; fewer where whole distributions go from one model to the other. */
const tokensPerRun = 1024;
const tokensPerComparison = 256;

/**
 * How well a model predicts texts, token by token. The documents make one stream, each begun as the tokenizer begins
 * documents, and the stream is cut into windows regardless of where documents end: the form of the pruning papers.
 * Yields after every run.
 *
 * @throws EspalierError INVALID_DATASET if there is no token to predict; NON_FINITE_LOGITS
 */
export async function* judgeText(
  model: Likelihood,
  tokenizer: Tokenizer,
  documents: readonly string[],
  { sequenceLength, stride, maxTokens }: TextOptions,
): AsyncGenerator<Progress, TextResult> {
  // Every window's first token may be read only, and the last window reaches beyond what is predicted.
  const enough = maxTokens === null ? null : maxTokens + Math.ceil(maxTokens / (sequenceLength - 1)) + sequenceLength;
  const stream = streamOf(documents, tokenizer, enough);
  const windows = windowsOf(stream.length, sequenceLength, stride, maxTokens);
  const total = windows.reduce((n, w) => n + w.predicted, 0);
  if (total === 0) throw new EspalierError("INVALID_DATASET", "the dataset has no token to predict");
  const losses: number[] = [];
  const hits: number[] = [];
  const divergences: number[] = [];
  const agreements: number[] = [];
  let done = 0;
  const perRun = Math.max(1, Math.floor((model.isHeldAgainst ? tokensPerComparison : tokensPerRun) / sequenceLength));
  for (let at = 0; at < windows.length; at += perRun) {
    const batch = windows.slice(at, at + perRun);
    for (const found of await model.judge(batch.map((w) => rowOf(w, stream)))) {
      losses.push(lossOf(found));
      hits.push(sumOf(found.greedy));
      if (!found.against) continue;
      divergences.push(sumOf(found.against.divergences));
      agreements.push(sumOf(found.against.agrees));
    }
    done += batch.reduce((n, w) => n + w.predicted, 0);
    yield { done, total };
  }
  const counts = windows.map((w) => w.predicted);
  const loss = ratioOf(losses, counts);
  const perplexity = Math.exp(loss.value);
  if (!Number.isFinite(perplexity))
    throw new EspalierError("NON_FINITE_LOGITS", "the model finds a token of the texts impossible: their perplexity is infinite");
  const standardError = loss.standardError === null ? null : perplexity * loss.standardError;
  const result = { tokenCount: total, perplexity: { value: perplexity, standardError }, nextTokenAccuracy: ratioOf(hits, counts) };
  if (!model.isHeldAgainst) return result;
  const divergence = ratioOf(divergences, counts);
  if (!Number.isFinite(divergence.value))
    throw new EspalierError(
      "NON_FINITE_LOGITS",
      "the model finds a token impossible that the model it is held against does not: their divergence is infinite",
    );
  return { ...result, divergence, greedyAgreement: ratioOf(agreements, counts) };
}

/** The documents as one stream of tokens; documents beyond `enough` tokens are never encoded. */
export function streamOf(documents: readonly string[], tokenizer: Tokenizer, enough: number | null): number[] {
  const stream: number[] = [];
  for (const document of documents) {
    if (enough !== null && stream.length >= enough) break;
    for (const id of tokenizer.encodeDocument(document)) stream.push(id);
  }
  return stream;
}

/** The last token of a window is predicted, never read. */
const rowOf = ({ start, end, predicted }: Window, stream: readonly number[]) => ({
  ids: stream.slice(start, end - 1),
  targets: stream.slice(end - predicted, end),
});

/** In float64. */
const sumOf = (values: Iterable<number>): number => {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
};
const lossOf = ({ logProbabilities }: RowLikelihood): number => -sumOf(logProbabilities);
