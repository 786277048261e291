import { EspalierError } from "../errors.ts";
import { told } from "../finished.ts";
import { openForAll } from "../inference/continue-all.ts";
import type { ModelTask } from "../model-task.ts";
import { type ConcreteProvider, resolveProvider } from "../runtime/providers.ts";
import type { DatasetContent, GenerationItem } from "../text/dataset-content.ts";
import { readModelConfig } from "../text/model-config.ts";
import { loadTokenizer, type Tokenizer } from "../text/tokenizer.ts";
import { commonBeginning, promptsOf } from "./common-beginning.ts";
import { type GenerationOptions, judgeGeneration, promptsOfItems } from "./generation.ts";
import { Likelihood, type LikelihoodOptions } from "./likelihood.ts";
import { judgeChoices } from "./multiple-choice.ts";
import { readWhole } from "./read-whole.ts";
import { measureSpeed, type Speed } from "./speed.ts";
import type { Estimate } from "./statistics.ts";
import { judgeText, type Progress, streamOf, type TextOptions } from "./text.ts";

export type EvaluationProgress = Progress;

/** Another model, to hold the measured one against. */
export interface AgainstSettings {
  readonly modelId: string;
  /** Prompts that both go on from; 0 for none. */
  readonly prompts: number;
  /** Tokens that both write after each prompt. */
  readonly newTokens: number;
}

/** How a dataset is measured on: the first three for texts, `maxItems` for items, and what else is of answers that the model writes. */
export interface EvaluationSettings extends TextOptions, Partial<GenerationOptions> {
  /** Of evaluations from before there was this, nothing. */
  readonly against?: AgainstSettings | null;
  /** Stop after this many items; null for all. */
  readonly maxItems: number | null;
  /** Whether to time prefill and decoding too, of a model that writes. */
  readonly measureSpeed: boolean;
  readonly executionProvider: LikelihoodOptions["executionProvider"];
}

export interface EvaluationOptions extends EvaluationSettings, LikelihoodOptions {
  /** What the model is for; a causal one unless said. */
  readonly task?: ModelTask;
  readonly content: DatasetContent;
  /** Rows of the model's embedding; 0 or nothing if that is not known. */
  readonly vocabularySize?: number;
  /** Where the model lies that `against` names. */
  readonly other?: Omit<LikelihoodOptions, "executionProvider"> | null;
}

/** What was measured: of texts or of items, and what it took. Null is what was not. */
export interface EvaluationResult {
  readonly executionProvider: ConcreteProvider;
  readonly tokenCount: number | null;
  readonly perplexity: number | null;
  readonly perplexityStandardError: number | null;
  readonly nextTokenAccuracy: number | null;
  readonly nextTokenAccuracyStandardError: number | null;
  /** Against another model: KL per token in nats, share of tokens both find most probable, and how far both write alike. */
  readonly divergence: number | null;
  readonly divergenceStandardError: number | null;
  readonly greedyAgreement: number | null;
  readonly greedyAgreementStandardError: number | null;
  readonly promptCount: number | null;
  readonly commonBeginningTokens: number | null;
  readonly commonBeginningTokensStandardError: number | null;
  readonly itemCount: number | null;
  /** Of answers that the model wrote: share of those that are right. */
  readonly exactMatch: number | null;
  readonly exactMatchStandardError: number | null;
  /** Which items were right, as `bitsOf` writes it: so that two models' answers can be held against each other. */
  readonly correctItems: string | null;
  readonly accuracy: number | null;
  readonly accuracyStandardError: number | null;
  readonly normalizedAccuracy: number | null;
  readonly normalizedAccuracyStandardError: number | null;
  readonly byteNormalizedAccuracy: number | null;
  readonly byteNormalizedAccuracyStandardError: number | null;
  readonly chanceAccuracy: number | null;
  /** Of models that read texts whole; see `readWhole`. */
  readonly pseudoPerplexity: number | null;
  readonly pseudoPerplexityStandardError: number | null;
  readonly maskedAccuracy: number | null;
  readonly maskedAccuracyStandardError: number | null;
  readonly f1: number | null;
  readonly f1StandardError: number | null;
  readonly spearman: number | null;
  readonly spearmanStandardError: number | null;
  readonly prefillTokensPerSecond: number | null;
  readonly decodeTokensPerSecond: number | null;
  /** Time of the measurement itself: without loading the model, or timing it. */
  readonly durationMs: number;
  /** The most memory that the measuring process held, without timing: its resident set. */
  readonly peakMemoryBytes: number;
}

/** Tokens of the prompt that prefill is timed with. */
const promptTokens = 128;

/** What came of measuring, the model being loaded. */
interface Measurement {
  readonly found: Found;
  readonly executionProvider: ConcreteProvider;
  readonly durationMs: number;
}

/**
 * Measures a model on a dataset: perplexity and next-token accuracy on texts, accuracy on items with choices, exact matches of answers that it writes.
 * Yields progress after every run.
 *
 * @throws EspalierError SEQUENCE_TOO_LONG; what opening the model, its tokenizer and judging throw
 */
export async function* evaluate(options: EvaluationOptions): AsyncGenerator<Progress, EvaluationResult> {
  const tokenizer = await loadTokenizer(options.folder, options.vocabularySize);
  const { contextLength } = await readModelConfig(options.folder);
  const { content, maxItems } = options;
  const { task = "CAUSAL_LM" } = options;
  const { found, ...measurement } =
    task !== "CAUSAL_LM"
      ? yield* readWhole(task, content, options)
      : content.form === "GENERATION"
        ? yield* measureGeneration(content.items.slice(0, maxItems ?? undefined), tokenizer, options, contextLength)
        : yield* measureLikelihood(content, tokenizer, options);
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  const prompt = Array.from({ length: Math.min(promptTokens, contextLength ?? promptTokens) }, (_, i) => i % tokenizer.vocabularySize);
  const speed: Speed | null = options.measureSpeed && task === "CAUSAL_LM" ? await measureSpeed(options, prompt) : null;
  return { ...measurement, ...flat(found), ...(speed ?? noSpeed), peakMemoryBytes };
}

async function* measureLikelihood(
  content: DatasetContent,
  tokenizer: Tokenizer,
  options: EvaluationOptions,
): AsyncGenerator<Progress, Measurement> {
  if (content.form !== "TEXT" && content.form !== "MULTIPLE_CHOICE")
    throw new EspalierError("WRONG_TASK", `a dataset of the form ${content.form} says nothing of a model of the task CAUSAL_LM`);
  const model = await Likelihood.open(options, otherOf(options));
  try {
    const begun = performance.now();
    const found =
      content.form === "TEXT"
        ? yield* measureText(model, tokenizer, content.documents, options)
        : yield* judgeChoices(model, tokenizer, content.items.slice(0, options.maxItems ?? undefined));
    return { found, executionProvider: model.executionProvider, durationMs: performance.now() - begun };
  } finally {
    await model.close();
  }
}

/** Tokens of an answer, unless something else is asked for. */
export const defaultNewTokens = 64;

/** What a model writes; against another model also how far both write the same. */
async function* measureGeneration(
  items: readonly GenerationItem[],
  tokenizer: Tokenizer,
  options: EvaluationOptions,
  contextLength: number | null,
): AsyncGenerator<Progress, Measurement> {
  const { maxNewTokens = defaultNewTokens, stop = [], answer = null, against } = options;
  const other = otherOf(options);
  const prompts = promptsOfItems(items, tokenizer, maxNewTokens, contextLength);
  const executionProvider = await resolveProvider(options.executionProvider);
  const engine = await openForAll(options);
  let begun = performance.now();
  let durationMs: number;
  let found: Found;
  try {
    const judging = judgeGeneration(engine, tokenizer, items, prompts, { maxNewTokens, stop, answer });
    found = yield* against && other && against.prompts > 0 ? share(judging, 0, 0.5) : judging;
    durationMs = performance.now() - begun;
  } finally {
    await engine.close();
  }
  if (!against || !other || against.prompts === 0) return { found, executionProvider, durationMs };
  begun = performance.now();
  const some = promptsOfItems(items.slice(0, against.prompts), tokenizer, against.newTokens, contextLength);
  const common = yield* share(commonBeginning(options, other, some), 0.5, 1);
  return { found: { ...found, ...common }, executionProvider, durationMs: durationMs + performance.now() - begun };
}

/** The model that another is held against; null where there is none. */
const otherOf = ({ against, other, executionProvider }: EvaluationOptions): LikelihoodOptions | null =>
  against && other ? { ...other, executionProvider } : null;

/** How well texts are predicted; against another model also how unlike it the model is, and how far both write the same. */
async function* measureText(
  model: Likelihood,
  tokenizer: Tokenizer,
  documents: readonly string[],
  options: EvaluationOptions,
): AsyncGenerator<Progress, Found> {
  const { against, sequenceLength, maxTokens } = options;
  const other = otherOf(options);
  checkLength(sequenceLength, model.contextLength);
  const judging = judgeText(model, tokenizer, documents, options);
  if (!against || !other || against.prompts === 0) return yield* judging;
  const found = yield* share(judging, 0, 0.5);
  const prompts = promptsOf(streamOf(documents, tokenizer, maxTokens), against.prompts, against.newTokens, model.contextLength);
  return { ...found, ...(yield* share(commonBeginning(options, other, prompts), 0.5, 1)) };
}

/** A part of the work as a share of all. */
const share = <Result>(steps: AsyncGenerator<Progress, Result>, from: number, to: number): AsyncGenerator<Progress, Result> =>
  told(steps, ({ done, total }) => ({ done: from + ((to - from) * done) / total, total: 1 }));

const noSpeed = { prefillTokensPerSecond: null, decodeTokensPerSecond: null };

const measured = [
  "perplexity",
  "nextTokenAccuracy",
  "divergence",
  "greedyAgreement",
  "commonBeginningTokens",
  "exactMatch",
  "accuracy",
  "normalizedAccuracy",
  "byteNormalizedAccuracy",
  "pseudoPerplexity",
  "maskedAccuracy",
  "f1",
  "spearman",
] as const;
type Measured = (typeof measured)[number];
type Counted = "tokenCount" | "promptCount" | "itemCount" | "chanceAccuracy";
type Found = { readonly [Name in Counted]?: number } & { readonly correctItems?: string } & { readonly [Name in Measured]?: Estimate };

/** Each estimate as two numbers. */
function flat(found: Found): Omit<EvaluationResult, "executionProvider" | "durationMs" | "peakMemoryBytes" | keyof Speed> {
  const estimates = measured.flatMap((name) => [
    [name, found[name]?.value ?? null],
    [`${name}StandardError`, found[name]?.standardError ?? null],
  ]);
  const values = Object.fromEntries(estimates) as Record<Measured | `${Measured}StandardError`, number | null>;
  const { tokenCount = null, promptCount = null, itemCount = null, correctItems = null, chanceAccuracy = null } = found;
  return { tokenCount, promptCount, itemCount, correctItems, chanceAccuracy, ...values };
}

function checkLength(sequenceLength: number, contextLength: number | null): void {
  if (contextLength !== null && sequenceLength > contextLength)
    throw new EspalierError("SEQUENCE_TOO_LONG", `windows of ${sequenceLength} tokens exceed the model's context of ${contextLength}`, {
      sequenceLength,
      contextLength,
    });
}
