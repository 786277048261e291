import { registerEnumType } from "type-graphql";
import { compressionMethods } from "../compression/methods/index.ts";
import type { Pattern, Scheme } from "../compression/options.ts";
import type { FinishReason } from "../inference/choice.ts";
import type { LoadingStage } from "../inference/open-decoder.ts";
import { kindNames, runKinds } from "../jobs/run-kinds.ts";
import type { ModelTask } from "../model-task.ts";
import { formats } from "../models/formats/formats.ts";
import { type WeightType, weightTypes } from "../models/formats/weight-types.ts";
import { methods } from "../pruning/methods/index.ts";
import type { GradientPoint, Normalization, Restoration } from "../pruning/options.ts";
import { recoveryMethods } from "../recovery/methods/index.ts";
import type { AdaptedBranch, Schedule } from "../recovery/options.ts";
import type { ExecutionProvider } from "../runtime/providers.ts";
import type { DatasetOrigin } from "../services/update-dataset.ts";
import type { DatasetOrder } from "../store/datasets.ts";
import type { ModelOrder } from "../store/models.ts";
import type { RunKind, RunOrder, RunStatus } from "../store/runs.ts";
import type { ScoreOrder } from "../store/scores.ts";
import type { AccessRole } from "../store/tokens.ts";
import type { StructureKind } from "../structures/structure.ts";
import type { AnswerMatch } from "../text/answer-pattern.ts";
import type { DatasetForm } from "../text/dataset-content.ts";
import type { PerturbationKind } from "../text/perturb.ts";
import type { PoolingMode } from "../text/pooling.ts";

/** A GraphQL enum from its values' descriptions: a value without one does not compile. */
function enumOf<Value extends string>(name: string, description: string, values: Readonly<Record<Value, string>>): Record<Value, Value> {
  const members = Object.fromEntries(Object.keys(values).map((value) => [value, value])) as Record<Value, Value>;
  const valuesConfig = Object.fromEntries(Object.entries<string>(values).map(([value, text]) => [value, { description: text }]));
  registerEnumType(members, { name, description, valuesConfig: valuesConfig as Record<Value, { description: string }> });
  return members;
}

export const structureKindEnum = enumOf<StructureKind>("StructureKind", "A kind of part that can be removed from a model.", {
  LAYER: "A whole transformer layer: attention and feed-forward. What the paper prunes.",
  ATTENTION: "The attention branch of a layer.",
  MLP: "The feed-forward branch of a layer.",
  EXPERT: "One of the parts of a feed-forward branch that each token is sent to a few of, with its row of the router.",
  HEAD: "A head of an attention: where queries share keys and values, the whole group; where all share one, a query alone.",
  CHANNEL: "A neuron of a feed-forward branch.",
});

export const pruningMethodEnum = enumOf(
  "PruningMethod",
  "How structures are scored; the lowest score is removed first.",
  Object.fromEntries(methods.map((method) => [method.name, method.description])),
);

export const recoveryMethodEnum = enumOf(
  "RecoveryMethod",
  "What is trained of a model that is healed.",
  Object.fromEntries(recoveryMethods.map((method) => [method.name, method.description])),
);

export const compressionMethodEnum = enumOf(
  "CompressionMethod",
  "How codes or zeros are found for the weights of a model that is compressed.",
  Object.fromEntries(compressionMethods.map((method) => [method.name, method.description])),
);

export const compressionSchemeEnum = enumOf<Scheme>("CompressionScheme", "What weights become.", {
  INT4: "Codes of 4 bits, with a scale for each block of inputs of each output.",
  INT8: "Codes of 8 bits, with a scale for each block of inputs of each output.",
  TERNARY: "Codes of three levels, in 2 bits: minus a scale, 0 and the scale, for each block of inputs of each output.",
  SPARSE: "Numbers as they were, many of which are 0. No product is faster for it, and no file smaller.",
});

export const compressionPatternEnum = enumOf<Pattern>(
  "CompressionPattern",
  "Which weights of a sparse matrix stay. Neighbours are inputs of one output.",
  {
    UNSTRUCTURED: "A share of each matrix.",
    TWO_OF_FOUR: "Two of each four neighbours.",
    FOUR_OF_EIGHT: "Four of each eight neighbours.",
    SIX_OF_EIGHT: "Six of each eight neighbours.",
  },
);

export const scheduleEnum = enumOf<Schedule>("LearningRateSchedule", "How the learning rate goes after its warm-up.", {
  COSINE: "Down to a tenth, by a half wave of the cosine.",
  LINEAR: "Down to a tenth, evenly.",
  CONSTANT: "It stays.",
});

export const adaptedBranchEnum = enumOf<AdaptedBranch>("AdaptedBranch", "Branches whose products can get adapters.", {
  ATTENTION: "Attentions.",
  MLP: "Feed-forward branches.",
});

export const perturbationKindEnum = enumOf<PerturbationKind>(
  "PerturbationKind",
  "How the second view of a calibration text is made to differ from the text.",
  {
    REAL_WORD: "Character edits that turn words into other dictionary words: swaps, replacements, insertions, deletions.",
    CHARACTER: "The same character edits, whatever they give.",
    TOKEN: "Tokens replaced by others at random.",
  },
);

export const restorationEnum = enumOf<Restoration>("Restoration", "What makes up for removed heads and channels.", {
  NONE: "Nothing.",
  BIAS: "What they gave on the average is added as a bias, iteration by iteration. Needs forward passes only.",
  LEAST_SQUARES:
    "At the end, the weights of what stays are solved for by least squares, so that it gives what all gave; what does worse on texts held back is left as it was cut. Needs forward passes only.",
});

export const normalizationEnum = enumOf<Normalization>(
  "ScoreNormalization",
  "What a structure's score is divided by, so that structures of unlike size compare.",
  {
    NONE: "Nothing: scores as the method gives them.",
    PARAMETER_COUNT: "Its number of parameters.",
    SQRT_PARAMETER_COUNT: "The square root of its number of parameters.",
    KIND_MEAN: "The mean score of its kind in that iteration, so that kinds compare whatever their scale.",
  },
);

export const gradientPointEnum = enumOf<GradientPoint>("GradientPoint", "By what of a structure the loss is differentiated.", {
  WEIGHTS: "Its weights, each as it is.",
  OUTPUT:
    "A linear map, at the identity, of what it gives to the residual stream; of a head or channel, of what each of its rows of the last product gives.",
});

export const executionProviderEnum = enumOf<ExecutionProvider>("ExecutionProvider", "What ONNX Runtime computes on.", {
  AUTO: "CUDA where it can be had, else the CPU. What really ran is recorded.",
  CPU: "The CPU.",
  CUDA: "An NVIDIA GPU. Where that cannot be had, the job fails and says what is missing; it never falls back to the CPU.",
});

export const runKindEnum = enumOf<RunKind>(
  "RunKind",
  "What a run does.",
  Object.fromEntries(kindNames.map((kind) => [kind, runKinds[kind].description])) as Record<RunKind, string>,
);

export const exportFormatEnum = enumOf(
  "ExportFormat",
  "A form in which a model leaves.",
  Object.fromEntries(formats.map(({ name, description, loadedBy }) => [name, `${description} Loaded by ${loadedBy}.`])),
);

export const weightTypeEnum = enumOf<WeightType>("WeightType", "In what an export keeps its weights.", weightTypes);

export const runOrderEnum = enumOf<RunOrder>("RunOrder", "What runs are ordered by.", {
  NEWEST_FIRST: "When they were asked for, the newest first.",
  OLDEST_FIRST: "When they were asked for, the oldest first.",
  QUEUE: "As workers take them up: the highest priority first, and the oldest of equal ones.",
});

export const modelOrderEnum = enumOf<ModelOrder>("ModelOrder", "What models are ordered by.", {
  NEWEST_FIRST: "When they were registered or made, the newest first.",
  OLDEST_FIRST: "When they were registered or made, the oldest first.",
  NAME: "Their names.",
  LARGEST_FIRST: "Their parameters, the most first.",
  SMALLEST_FIRST: "Their parameters, the fewest first.",
});

export const datasetOrderEnum = enumOf<DatasetOrder>("DatasetOrder", "What datasets are ordered by.", {
  NEWEST_FIRST: "When they were registered, the newest first.",
  OLDEST_FIRST: "When they were registered, the oldest first.",
  NAME: "Their names.",
  LARGEST_FIRST: "Their bytes, the most first.",
});

export const runStatusEnum = enumOf<RunStatus>("RunStatus", "Where a run stands.", {
  QUEUED: "Waits for a worker, or for the run whose result it is to work on.",
  RUNNING: "A worker has taken it up.",
  SUCCEEDED: "Done; its result is there.",
  FAILED: "Ended by an error, which it records.",
  CANCELLED: "Ended by request.",
});

export const datasetFormEnum = enumOf<DatasetForm>("DatasetForm", "What a dataset's records are.", {
  TEXT: "Documents: to calibrate with, or to measure perplexity and next-token accuracy on.",
  MULTIPLE_CHOICE: "Questions with choices, of which the most likely is the model's answer: to measure accuracy on.",
  GENERATION: "Prompts with answers, which the model is to write itself: to measure exact matches on.",
  LABELLED: "Texts, or pairs of them, with a class each: to prune classifiers by, and to measure accuracy and F1 on.",
  SCORED_PAIRS: "Pairs of texts with a number that says how alike they are: to measure Spearman's correlation of embeddings on.",
});

export const datasetOriginEnum = enumOf<DatasetOrigin>("DatasetOrigin", "Where a dataset comes from.", {
  BUNDLED: "It comes with the server, and cannot be changed or deleted.",
  REGISTERED: "Somebody registered it.",
  REQUEST: "Its texts came with a request, and nobody has given it a name.",
});

export const answerMatchEnum = enumOf<AnswerMatch>("AnswerMatch", "Which of a pattern's matches is the answer.", {
  FIRST: "The first.",
  LAST: "The last: of a model that thinks aloud before it answers.",
});

export const finishReasonEnum = enumOf<FinishReason>("FinishReason", "Why a generation ended.", {
  STOP: "The model ended its text, or the text reached a stop string.",
  LENGTH: "The limit of tokens, or of the model's context, was reached.",
  TIME: "The limit of time was reached.",
});

export const loadingStageEnum = enumOf<LoadingStage>("LoadingStage", "How far loading a model is, in order.", {
  READING: "Its files are read.",
  REWRITING: "Its graph is rewritten for serving.",
  OPENING: "ONNX Runtime opens it.",
  CHECKING: "The rewritten graph is held against the one that was registered.",
});

export const modelTaskEnum = enumOf<ModelTask>("ModelTask", "What a model is for, told by what it does.", {
  CAUSAL_LM: "It reads from left to right and tells the next token: it writes texts.",
  MASKED_LM: "It reads texts whole and tells masked tokens.",
  CLASSIFICATION: "It reads texts whole, or pairs of them, and tells their class.",
  TOKEN_CLASSIFICATION: "It reads texts whole and tells the class of each token.",
  EMBEDDING: "It reads texts whole and makes vectors of them.",
});

export const poolingEnum = enumOf<PoolingMode>("Pooling", "How a text's tokens become one vector.", {
  MEAN: "The mean over all tokens.",
  CLS: "The first token's, of models that read texts whole.",
  LAST: "The last token's.",
  MAX: "The largest of each number, of models that read texts whole.",
});

export const accessRoleEnum = enumOf<AccessRole>("AccessRole", "What a client may do. Each role may do what those before it may.", {
  READ: "See all there is: models, runs, measurements, scores.",
  GENERATE: "Let models write and measure them.",
  PRUNE: "Register, prune and delete.",
  ADMIN: "Make and withdraw tokens, and read the audit trail.",
});

export const scoreOrderEnum = enumOf<ScoreOrder>("StructureScoreOrder", "What structure scores are ordered by.", {
  POSITION: "Iteration, then kind, then position in the base model.",
  SCORE_ASCENDING: "Lowest score first: the next to go.",
  SCORE_DESCENDING: "Highest score first: the last to go.",
});
