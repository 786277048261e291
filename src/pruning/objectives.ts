import { directions } from "../autodiff/readout.ts";
import { EspalierError } from "../errors.ts";
import type { ModelTask } from "../model-task.ts";
import { numberAt } from "../number-at.ts";
import { type Random, randomInteger, seededRandom, shuffled } from "../random.ts";
import { calibrationSamples, type Views, view, views } from "../text/calibration.ts";
import type { DatasetContent } from "../text/dataset-content.ts";
import { type Labels, labelIds } from "../text/labels.ts";
import { maskedView } from "../text/masking.ts";
import { perturbations } from "../text/perturb.ts";
import type { Pooling } from "../text/pooling.ts";
import type { FramedText } from "../text/tokenizer/framing.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { nextTokens, type View } from "../text/view.ts";
import type { Judge } from "./evidence/evidence.ts";
import type { PruningOptions } from "./options.ts";

type Options = Pick<PruningOptions, "samples" | "sequenceLength" | "perturbation" | "seed">;

/** What a model is judged by while it is pruned: it follows from the model's task. */
export interface Objective {
  /** Null: by the next tokens of a causal model. */
  readonly judge: Judge | null;
  /** The two views of each sample, in an iteration. */
  views(iteration: number): Views[];
  /** A text as the model reads it, of which nothing is to be told. */
  plain(text: string): View;
}

/** What an objective is made of. */
export interface ObjectiveSource {
  readonly tokenizer: Tokenizer;
  readonly content: DatasetContent;
  readonly options: Options;
  /** How the model's classes are called. */
  readonly labels?: Labels;
  /** How a model of embeddings pools. */
  readonly pooling?: Pooling;
}

/** One text or a pair of them, as the model is to read it, and what it is to tell of it. */
interface Sample {
  readonly texts: readonly string[];
  readonly target?: number;
}

/** The texts of samples, perturbed or as they are, framed. */
function reader({ tokenizer, options }: ObjectiveSource) {
  const { sequenceLength: T, seed, perturbation } = options;
  const { kind, rate, regenerate } = perturbation;
  const frame = (texts: readonly (readonly number[])[]) => tokenizer.frame(texts, T);
  const plain = (texts: readonly string[]) => frame(texts.map((text) => tokenizer.encode(text)));
  return {
    plain,
    /** Both views of each sample, each made of its framed text and of a stream of chance that is the same for both. */
    both(samples: readonly Sample[], iteration: number, make: (text: FramedText, sample: Sample, random: Random) => View): Views[] {
      return samples.map((sample, i): Views => {
        const stream = (name: string) => seededRandom(seed, `${name}/${i}/${regenerate ? iteration : 0}`);
        const random = stream("perturbation");
        const perturbed = frame(sample.texts.map((text) => perturbations[kind](tokenizer, text, rate, random)));
        return { unperturbed: make(plain(sample.texts), sample, stream("told")), perturbed: make(perturbed, sample, stream("told")) };
      });
    },
  };
}

const documentsOf = (content: DatasetContent): readonly string[] => {
  if (content.form === "TEXT") return content.documents;
  throw new EspalierError("INVALID_DATASET", "the dataset holds items, and calibration takes texts");
};

const stretches = ({ tokenizer, content, options }: ObjectiveSource): Sample[] =>
  calibrationSamples(tokenizer, documentsOf(content), options).map((text) => ({ texts: [text] }));

const untold = ({ ids, types }: FramedText): View => ({ ids, types, targets: [] });

/** By the next tokens of texts. */
function causal({ tokenizer, content, options }: ObjectiveSource): Objective {
  const texts = calibrationSamples(tokenizer, documentsOf(content), options);
  return {
    judge: null,
    views: (iteration) => texts.map((text, i) => views(tokenizer, text, options, i, iteration)),
    plain: (text) => nextTokens(view(tokenizer, text, options.sequenceLength)),
  };
}

/** By masked tokens of texts: each view has masks at the same places, as far as both are as long, and is to tell its own tokens. */
function maskedLm(source: ObjectiveSource): Objective {
  const { tokenizer } = source;
  const { maskId } = tokenizer;
  if (maskId === null)
    throw new EspalierError("MASK_TOKEN_MISSING", "the model's tokenizer names no mask token, by which it would be asked for words");
  const samples = stretches(source);
  const { plain, both } = reader(source);
  return {
    judge: { places: "TOKENS", loss: "CROSS_ENTROPY", pooling: null },
    views: (iteration) => both(samples, iteration, (text, _, random) => maskedView(tokenizer, maskId, text, random)),
    plain: (text) => untold(plain([text])),
  };
}

/** By the classes of labelled texts, of which as many are drawn as samples are asked for: each once, before any comes twice. */
function classification(source: ObjectiveSource): Objective {
  const { content, options, labels = { names: [] } } = source;
  if (content.form !== "LABELLED")
    throw new EspalierError(
      "INVALID_DATASET",
      'a classifier is judged by labelled texts: records of {"text", "label"} or {"text", "pair", "label"}',
    );
  const targets = labelIds(content.items, labels);
  const order = shuffled(seededRandom(options.seed, "calibration/items"), [...content.items.keys()]);
  const samples = Array.from({ length: options.samples }, (_, i): Sample => {
    const at = numberAt(order, i % order.length);
    const { text, pair } = content.items[at] as (typeof content.items)[number];
    return { texts: pair === undefined ? [text] : [text, pair], target: numberAt(targets, at) };
  });
  const { plain, both } = reader(source);
  return {
    judge: { places: "TEXT", loss: "CROSS_ENTROPY", pooling: null },
    views: (iteration) => both(samples, iteration, ({ ids, types }, { target = 0 }) => ({ ids, types, targets: [target] })),
    plain: (text) => untold(plain([text])),
  };
}

/** Of tokens' classes no dataset speaks: what needs no loss is had of texts. */
function unjudged(source: ObjectiveSource): Objective {
  const samples = stretches(source);
  const { plain, both } = reader(source);
  return {
    judge: { places: "TOKENS", loss: "CROSS_ENTROPY", pooling: null },
    views: (iteration) => both(samples, iteration, untold),
    plain: (text) => untold(plain([text])),
  };
}

/**
 * By the vectors of texts, each read along a direction drawn for the sample, the same for both views: over all directions, PIP's
 * mean square is that of the difference between the Jacobians of the two vectors.
 */
function embedding(source: ObjectiveSource): Objective {
  const { pooling: { mode, normalize } = { mode: "MEAN", normalize: false } } = source;
  if (mode !== "MEAN" && mode !== "CLS")
    throw new EspalierError("UNSUPPORTED_POOLING", `the model pools by ${mode}, of which no gradient is taken: MEAN and CLS can be pruned`);
  const samples = stretches(source);
  const { plain, both } = reader(source);
  return {
    judge: { places: "TEXT", loss: "READING", pooling: { mode, normalize } },
    views: (iteration) =>
      both(samples, iteration, ({ ids, types }, _, random) => ({ ids, types, targets: [randomInteger(random, directions)] })),
    plain: (text) => untold(plain([text])),
  };
}

const objectives: Readonly<Record<ModelTask, (source: ObjectiveSource) => Objective>> = {
  CAUSAL_LM: causal,
  MASKED_LM: maskedLm,
  CLASSIFICATION: classification,
  TOKEN_CLASSIFICATION: unjudged,
  EMBEDDING: embedding,
};

/**
 * What a model of a task is judged by.
 *
 * @throws EspalierError INVALID_DATASET if the dataset is of another form, or names a class that the model does not have; MASK_TOKEN_MISSING; UNSUPPORTED_POOLING
 */
export const objectiveOf = (task: ModelTask, source: ObjectiveSource): Objective => objectives[task](source);
