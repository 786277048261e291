import { EspalierError } from "../errors.ts";
import { told } from "../finished.ts";
import { openEncoder } from "../inference/open-encoder.ts";
import { type ServedEncoder, vectorOf } from "../inference/read-whole.ts";
import type { ModelTask } from "../model-task.ts";
import { numberAt } from "../number-at.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import type { DatasetContent, LabelledItem, ScoredPair } from "../text/dataset-content.ts";
import { labelIds } from "../text/labels.ts";
import type { FramedText } from "../text/tokenizer/framing.ts";
import type { LikelihoodOptions } from "./likelihood.ts";
import { correlationOf, macroF1 } from "./scores.ts";
import { type Estimate, meanOf, ratioOf } from "./statistics.ts";
import type { Progress } from "./text.ts";

/** What was measured of a model that reads texts whole. */
export interface ReadWholeResult {
  readonly tokenCount?: number;
  readonly itemCount?: number;
  /** exp of the mean negative log-probability of each token, masked alone (Salazar et al. 2020, arXiv 1910.14659). */
  readonly pseudoPerplexity?: Estimate;
  /** Share of tokens that are found most probable, each masked alone. */
  readonly maskedAccuracy?: Estimate;
  readonly accuracy?: Estimate;
  /** The mean over classes of the harmonic mean of precision and recall. */
  readonly f1?: Estimate;
  /** Spearman's rank correlation of the cosine of two vectors with the score of their texts. */
  readonly spearman?: Estimate;
}

interface Options extends LikelihoodOptions {
  readonly sequenceLength: number;
  readonly maxTokens: number | null;
  readonly maxItems: number | null;
  readonly vocabularySize?: number;
}

type Measure = (served: ServedEncoder, content: DatasetContent, options: Options) => AsyncGenerator<Progress, ReadWholeResult>;

/** By task: the form of dataset it is measured on, and how. */
const measures: Readonly<Partial<Record<ModelTask, { readonly form: DatasetContent["form"]; readonly measure: Measure }>>> = {
  MASKED_LM: {
    form: "TEXT",
    measure: (served, content, options) => masks(served, content.form === "TEXT" ? content.documents : [], options),
  },
  CLASSIFICATION: {
    form: "LABELLED",
    measure: (served, content, options) => classes(served, content.form === "LABELLED" ? content.items : [], options),
  },
  EMBEDDING: {
    form: "SCORED_PAIRS",
    measure: (served, content, options) => pairs(served, content.form === "SCORED_PAIRS" ? content.items : [], options),
  },
};

/**
 * Measures a model that reads texts whole, as its task asks. Yields after every run.
 *
 * @throws EspalierError WRONG_TASK if such a dataset says nothing of such a model; INVALID_DATASET; what opening the model throws
 */
export async function* readWhole(
  task: ModelTask,
  content: DatasetContent,
  options: Options,
): AsyncGenerator<
  Progress,
  { readonly found: ReadWholeResult; readonly executionProvider: ConcreteProvider; readonly durationMs: number }
> {
  const known = measures[task];
  if (known?.form !== content.form)
    throw new EspalierError("WRONG_TASK", `a dataset of the form ${content.form} says nothing of a model of the task ${task}`, { task });
  const served = await openEncoder(options, options.vocabularySize);
  try {
    const begun = performance.now();
    const found = yield* known.measure(served, content, options);
    return { found, executionProvider: served.encoder.executionProvider, durationMs: performance.now() - begun };
  } finally {
    await served.encoder.close();
  }
}

/** Rows whose logits are looked at together. */
const rowsAtOnce = 64;

/** Texts cut into stretches of as many tokens as are read at once; of each stretch every token is masked alone. */
async function* masks(
  { encoder, tokenizer }: ServedEncoder,
  documents: readonly string[],
  { sequenceLength, maxTokens }: Options,
): AsyncGenerator<Progress, ReadWholeResult> {
  const { maskId } = tokenizer;
  if (maskId === null) throw new EspalierError("MASK_TOKEN_MISSING", "the model's tokenizer names no mask token");
  const longest = Math.min(sequenceLength, encoder.contextLength);
  const room = longest - tokenizer.frame([[]], longest).ids.length;
  const rows: {
    readonly ids: number[];
    readonly types: readonly number[];
    readonly place: number;
    readonly target: number;
    readonly stretch: number;
  }[] = [];
  let stretch = 0;
  for (const document of documents) {
    const ids = tokenizer.encode(document);
    for (let at = 0; at < ids.length && (maxTokens === null || rows.length < maxTokens); at += room, stretch++) {
      const text = tokenizer.frame([ids.slice(at, at + room)], longest);
      for (const place of text.text) {
        const masked = [...text.ids];
        masked[place] = maskId;
        rows.push({ ids: masked, types: text.types, place, target: numberAt(text.ids, place), stretch });
      }
    }
  }
  const all = maxTokens === null ? rows : rows.slice(0, maxTokens);
  if (all.length === 0) throw new EspalierError("INVALID_DATASET", "the dataset has no token to mask");
  const sums = new Map<number, { loss: number; hits: number; count: number }>();
  for (let begin = 0; begin < all.length; begin += rowsAtOnce) {
    const batch = all.slice(begin, begin + rowsAtOnce);
    for await (const [at, answer] of encoder.read(batch)) {
      const { place, target, stretch: of } = batch[at] as (typeof batch)[number];
      const logits = answer.rows[place] as Float32Array;
      const [logprob, best] = judged(logits, target);
      const own = sums.get(of) ?? { loss: 0, hits: 0, count: 0 };
      sums.set(of, { loss: own.loss - logprob, hits: own.hits + best, count: own.count + 1 });
    }
    yield { done: Math.min(all.length, begin + rowsAtOnce), total: all.length };
  }
  const windows = [...sums.values()];
  const counts = windows.map((w) => w.count);
  const of = (name: "loss" | "hits") =>
    ratioOf(
      windows.map((w) => w[name]),
      counts,
    );
  const loss = of("loss");
  const value = Math.exp(loss.value);
  const standardError = loss.standardError === null ? null : value * loss.standardError;
  return { tokenCount: all.length, pseudoPerplexity: { value, standardError }, maskedAccuracy: of("hits") };
}

/** The log-probability of a token, and 1 if none is more probable. */
function judged(logits: Float32Array, target: number): readonly [logprob: number, best: number] {
  let most = Number.NEGATIVE_INFINITY;
  for (const z of logits) if (z > most) most = z;
  let sum = 0;
  for (const z of logits) sum += Math.exp(z - most);
  const own = numberAt(logits, target);
  return [own - most - Math.log(sum), own === most ? 1 : 0];
}

/** A text or a pair, framed, its end cut off where it is too long. */
const cutText = (
  { encoder, tokenizer }: ServedEncoder,
  { text, pair }: { readonly text: string; readonly pair?: string },
  longest: number,
): FramedText =>
  tokenizer.frame(
    [text, ...(pair === undefined ? [] : [pair])].map((t) => tokenizer.encode(t)),
    Math.min(longest, encoder.contextLength),
  );

async function* classes(
  served: ServedEncoder,
  items: readonly LabelledItem[],
  { sequenceLength, maxItems }: Options,
): AsyncGenerator<Progress, ReadWholeResult> {
  const some = items.slice(0, maxItems ?? undefined);
  const gold = labelIds(some, served.labels);
  const found: number[] = [];
  yield* told(
    answered(
      served,
      some.map((item) => cutText(served, item, sequenceLength)),
      (at, { rows }) => {
        const [logits = new Float32Array()] = rows;
        if (numberAt(gold, at) >= logits.length)
          throw new EspalierError("INVALID_DATASET", `record ${at + 1} has the class ${gold[at]}, and the model has ${logits.length}`, {
            line: at + 1,
          });
        found[at] = logits.indexOf(logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
      },
    ),
    (progress) => progress,
  );
  return { itemCount: some.length, accuracy: meanOf(found.map((id, i) => (id === gold[i] ? 1 : 0))), f1: macroF1(gold, found) };
}

async function* pairs(
  served: ServedEncoder,
  items: readonly ScoredPair[],
  { sequenceLength, maxItems }: Options,
): AsyncGenerator<Progress, ReadWholeResult> {
  const some = items.slice(0, maxItems ?? undefined);
  const texts = some.flatMap(({ text, pair }) => [text, pair]).map((text) => cutText(served, { text }, sequenceLength));
  const vectors: number[][] = [];
  yield* answered(served, texts, (at, answer) => {
    vectors[at] = vectorOf(answer, { ...served.pooling, normalize: true });
  });
  const cosines = some.map((_, i) =>
    (vectors[2 * i] as number[]).reduce((sum, v, k) => sum + v * numberAt(vectors[2 * i + 1] ?? [], k), 0),
  );
  return {
    itemCount: some.length,
    spearman: correlationOf(
      cosines,
      some.map(({ score }) => score),
    ),
  };
}

async function* answered(
  { encoder }: ServedEncoder,
  texts: readonly FramedText[],
  take: (place: number, answer: Parameters<typeof vectorOf>[0]) => void,
): AsyncGenerator<Progress, void> {
  let done = 0;
  for await (const [place, answer] of encoder.read(texts)) {
    take(place, answer);
    done++;
    if (done % 16 === 0 || done === texts.length) yield { done, total: texts.length };
  }
}
