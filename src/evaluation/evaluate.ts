import { EspalierError } from "../errors.ts";
import { LanguageModel } from "../inference/language-model.ts";
import type { ConcreteProvider, ExecutionProvider } from "../runtime/providers.ts";
import { type DatasetRequest, loadDataset } from "../text/datasets.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { measureSpeed, type Speed } from "./speed.ts";
import { tally } from "./tally.ts";
import { batchesOf, type Window, windowsOf } from "./windows.ts";

export interface EvaluationOptions {
  readonly folder: string;
  readonly dataset: DatasetRequest;
  /** T: tokens of a window. */
  readonly sequenceLength: number;
  /** Stop after this many scored tokens; null for all. */
  readonly maxTokens: number | null;
  readonly executionProvider: ExecutionProvider;
}

export interface EvaluationProgress {
  readonly tokensDone: number;
  readonly tokensTotal: number;
}

export interface EvaluationResult extends Speed {
  readonly executionProvider: ConcreteProvider;
  readonly datasetDigest: string;
  readonly tokenCount: number;
  /** exp of the mean cross-entropy per token. */
  readonly perplexity: number;
  /** Share of tokens whose most probable prediction was right, 0..1. */
  readonly nextTokenAccuracy: number;
}

/** Tokens of one run: enough to fill the cores, few enough that their logits fit. */
const tokensPerRun = 1024;

/**
 * How well a model predicts texts, token by token, and how fast it runs. Every token of a document is predicted once, from
 * the tokens of its own window before it; the first from the document's start alone. Yields after every run.
 *
 * @throws EspalierError DATASET_NOT_FOUND, INVALID_DATASET, SEQUENCE_TOO_LONG, NON_FINITE_LOGITS; and what opening the model throws
 */
export async function* evaluate(options: EvaluationOptions): AsyncGenerator<EvaluationProgress, EvaluationResult> {
  const [dataset, tokenizer] = await Promise.all([loadDataset(options.dataset), loadTokenizer(options.folder)]);
  const windows = windowsOf(encoded(dataset.documents, tokenizer), options.sequenceLength, options.maxTokens);
  const tokensTotal = windows.reduce((n, w) => n + w.targets.length, 0);
  if (tokensTotal === 0) throw new EspalierError("INVALID_DATASET", "the dataset has no token to predict");

  const model = await LanguageModel.open(options);
  try {
    checkLength(options.sequenceLength, model.contextLength);
    let tokensDone = 0;
    let loss = 0;
    let correct = 0;
    for (const batch of batchesOf(windows, tokensPerRun)) {
      const targets = batch.flatMap((w) => w.targets);
      const found = tally(await model.logits(batch.map((w) => w.inputs)), targets);
      loss += found.loss;
      correct += found.correct;
      tokensDone += targets.length;
      yield { tokensDone, tokensTotal };
    }
    return {
      executionProvider: model.executionProvider,
      datasetDigest: dataset.digest,
      tokenCount: tokensTotal,
      perplexity: Math.exp(loss / tokensTotal),
      nextTokenAccuracy: correct / tokensTotal,
      ...(await measureSpeed(model, (windows[0] as Window).inputs)),
    };
  } finally {
    await model.close();
  }
}

/** One by one, so that documents beyond the last token that counts are never encoded. */
function* encoded(documents: readonly string[], tokenizer: Tokenizer): Generator<number[]> {
  for (const document of documents) yield tokenizer.encodeDocument(document);
}

function checkLength(sequenceLength: number, contextLength: number | null): void {
  if (contextLength !== null && sequenceLength > contextLength)
    throw new EspalierError("SEQUENCE_TOO_LONG", `windows of ${sequenceLength} tokens exceed the model's context of ${contextLength}`, {
      sequenceLength,
      contextLength,
    });
}
