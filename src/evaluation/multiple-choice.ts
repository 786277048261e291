import { EspalierError } from "../errors.ts";
import { largest } from "../large-lists.ts";
import type { ChoiceItem } from "../text/dataset-content.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { batchByLength, groupByBeginning, sharedBeginning } from "./batches.ts";
import type { Likelihood, Row, RowLikelihood } from "./likelihood.ts";
import { bitsOf, type Estimate, meanOf } from "./statistics.ts";
import type { Progress } from "./text.ts";

export interface MultipleChoiceResult {
  /** Of each item's choices, in nats. */
  readonly logLikelihoods: readonly (readonly number[])[];
  readonly itemCount: number;
  /** Which items were right by `acc`: a bit each, in order from the lowest bit of each byte, in base64. */
  readonly correctItems: string;
  /** `acc`: share of items whose right choice has the highest log-likelihood. */
  readonly accuracy: Estimate;
  /** `acc_norm`: the same with each log-likelihood divided by the choice's length in characters. */
  readonly normalizedAccuracy: Estimate;
  /** `acc_bytes`: the same with the length in bytes of UTF-8. */
  readonly byteNormalizedAccuracy: Estimate;
  /** What guessing would get: the mean over items of one over the number of choices. */
  readonly chanceAccuracy: number;
}

/** One way to fill in an item: what is read before, and the tokens whose likelihood counts. */
interface Candidate extends Row {
  /** Of the choice, the white space that joins it to its context left out: code points, and bytes of UTF-8. */
  readonly characters: number;
  readonly bytes: number;
}

/** Tokens of one run, padding included; and of a run with all that its rows go on from, which bounds the caches. */
const tokensPerRun = 1024;
const heldPerRun = 8192;

/**
 * Multiple choice as lm-evaluation-harness scores it: each choice's log-likelihood is the sum over its tokens, after its context;
 * the item is right if the gold one is highest (the first of equals wins). A context begins with what the tokenizer itself puts
 * before a text, and often that is nothing; an empty one is the BOS token, or else EOS. Contexts that share one continuation
 * have one length, so all three accuracies are one.
 *
 * What the choices of an item begin with is read once, for many items together. Yields after every run.
 *
 * @throws EspalierError INVALID_DATASET naming an item that cannot be scored; NON_FINITE_LOGITS
 */
export async function* judgeChoices(
  model: Likelihood,
  tokenizer: Tokenizer,
  items: readonly ChoiceItem[],
): AsyncGenerator<Progress, MultipleChoiceResult> {
  const longest = model.contextLength ?? Number.POSITIVE_INFINITY;
  const candidates = items.map((item, i) => candidatesOf(item, i, tokenizer, longest));
  const likelihoods = candidates.map((rows) => rows.map(() => 0));
  const beginnings = candidates.map((rows) => (model.sharesBeginnings ? sharedBeginning(rows) : 0));
  const lengths = candidates.map((rows) => largest(rows.map(({ ids }) => ids.length)));
  const total = candidates.reduce((n, rows) => n + rows.length, 0);
  let done = 0;
  for (const { length, members } of groupByBeginning(beginnings, lengths, tokensPerRun)) {
    const group = members.map((item) => ({ item, rows: candidates[item] as Candidate[] }));
    const past =
      length > 0
        ? await model.read(
            model.start,
            group.map(({ rows: [row] }) => (row as Candidate).ids.slice(0, length)),
          )
        : model.start;
    const ends = group.flatMap(({ item, rows }, place) =>
      rows.map(({ ids, targets }, choice) => ({ item, choice, ids: ids.slice(length), targets, past: length > 0 ? place : 0 })),
    );
    for (const batch of batchByLength(ends, tokensPerRun, heldPerRun, length)) {
      const found = await model.judge(batch, past);
      for (const [b, { item, choice }] of batch.entries()) (likelihoods[item] as number[])[choice] = sumOf(found[b]);
      done += batch.length;
      yield { done, total };
    }
  }
  const right = (value: (likelihood: number, candidate: Candidate) => number) =>
    items.map(({ gold }, i) => {
      const values = (likelihoods[i] ?? []).map((l, c) => value(l, candidates[i]?.[c] as Candidate));
      return values.indexOf(largest(values)) === gold ? 1 : 0;
    });
  const plain = right((l) => l);
  return {
    logLikelihoods: likelihoods,
    itemCount: items.length,
    correctItems: bitsOf(plain),
    accuracy: meanOf(plain),
    normalizedAccuracy: meanOf(right((l, { characters }) => l / characters)),
    byteNormalizedAccuracy: meanOf(right((l, { bytes }) => l / bytes)),
    chanceAccuracy: candidates.reduce((sum, { length }) => sum + 1 / length, 0) / items.length,
  };
}

/** In float64. */
const sumOf = (found: RowLikelihood | undefined): number => found?.logProbabilities.reduce((sum, x) => sum + x, 0) ?? Number.NaN;

function candidatesOf(item: ChoiceItem, index: number, tokenizer: Tokenizer, longest: number): Candidate[] {
  const pairs =
    "choices" in item
      ? item.choices.map((choice) => [item.context, choice] as const)
      : item.contexts.map((context) => [context, item.continuation] as const);
  return pairs.map(([context, choice]) => {
    // White space before a choice belongs to it: tokenizers join it to the word that follows.
    const before = tokenizer.encode(context.trimEnd());
    const whole = tokenizer.encode(context + choice);
    // Where the two run together into no more tokens than the context has ("ship", "s"), each is encoded by itself.
    const after =
      whole.length > before.length ? whole.slice(before.length) : tokenizer.encode(context.slice(context.trimEnd().length) + choice);
    const start = startOf(before, tokenizer);
    if (start.length + before.length === 0)
      throw new EspalierError("INVALID_DATASET", `item ${index} has an empty context, and the model has no token that stands for one`, {
        item: index,
      });
    const sequence = [...start, ...(whole.length > before.length ? whole : [...before, ...after])];
    const ids = sequence.slice(0, -1).slice(-longest);
    if (after.length > ids.length)
      throw new EspalierError("INVALID_DATASET", `item ${index} has a choice that is longer than the model's context`, { item: index });
    const text = choice.trimStart();
    return { ids, targets: after, characters: [...text].length, bytes: Buffer.byteLength(text) };
  });
}

/** What goes before a context, unless the context begins so itself. Nothing can be predicted from nothing. */
function startOf(context: readonly number[], { ownStart, emptyId }: Tokenizer): readonly number[] {
  if (context.length === 0) return emptyId === null ? [] : [emptyId];
  return context[0] === ownStart[0] ? [] : ownStart;
}
