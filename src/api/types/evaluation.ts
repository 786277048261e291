import { Field, Float, ID, InputType, Int, ObjectType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import type { ModelRecord } from "../../store/models.ts";
import type { AnswerMatch, AnswerPattern } from "../../text/answer-pattern.ts";
import { answerMatchEnum, executionProviderEnum } from "../enums.ts";
import { bigInt } from "../scalars.ts";
import { connectionType } from "./connection.ts";
import { DatasetInput } from "./dataset.ts";
import { Model } from "./model.ts";
import { Node } from "./node.ts";
import { Run, RunSubjectInput } from "./run.ts";

@ObjectType({ description: "What an evaluation measured: of texts, or of items with choices or prompts. What was not measured is null." })
export class EvaluationResult {
  @Field(() => Int, { nullable: true, description: "Tokens of the texts that were predicted." })
  readonly tokenCount?: number | null;

  @Field(() => Float, { nullable: true, description: "exp of the mean cross-entropy per token. Lower is better." })
  readonly perplexity?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error, windows taken as independent." })
  readonly perplexityStandardError?: number | null;

  @Field(() => Float, { nullable: true, description: "Share of tokens whose most probable prediction was right, 0 to 1." })
  readonly nextTokenAccuracy?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error, windows taken as independent." })
  readonly nextTokenAccuracyStandardError?: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      "Against another model: the mean divergence per token, KL from its distribution to this model's, in nats. 0 where both predict alike.",
  })
  readonly divergence?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error, windows taken as independent." })
  readonly divergenceStandardError?: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "Against another model: share of tokens at which both find the same token most probable, 0 to 1.",
  })
  readonly greedyAgreement?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error, windows taken as independent." })
  readonly greedyAgreementStandardError?: number | null;

  @Field(() => Int, { nullable: true, description: "Against another model: prompts that both went on from." })
  readonly promptCount?: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      "Against another model: for how many tokens after a prompt both write the same, each by its most probable tokens, on the mean of the prompts. 0 to `against.newTokens`.",
  })
  readonly commonBeginningTokens?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error." })
  readonly commonBeginningTokensStandardError?: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      "Of answers that the model wrote: share of items whose answer is the right one, 0 to 1, character by character but for white space around it.",
  })
  readonly exactMatch?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error." })
  readonly exactMatchStandardError?: number | null;

  @Field(() => Int, { nullable: true, description: "Items that were answered." })
  readonly itemCount?: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      "`acc`: share of items whose right choice is the most likely, 0 to 1, by the sum of its tokens' log-likelihoods. Of labelled texts: share whose class was told.",
  })
  readonly accuracy?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error." })
  readonly accuracyStandardError?: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      "`acc_norm`: the same with each choice's log-likelihood divided by its length in characters, so that short ones have no advantage. Null where a version measured `acc_bytes` only.",
  })
  readonly normalizedAccuracy?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error." })
  readonly normalizedAccuracyStandardError?: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "`acc_bytes`: the same with the length in bytes of UTF-8, which tokenizers see; for English it is `acc_norm`.",
  })
  readonly byteNormalizedAccuracy?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error." })
  readonly byteNormalizedAccuracyStandardError?: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      "What guessing would get on these items: the mean of one over the number of choices, 0 to 1; of answers that are written, 0.",
  })
  readonly chanceAccuracy?: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "Of masked tokens: exp of the mean negative log-probability of each token of the texts, masked alone. Lower is better.",
  })
  readonly pseudoPerplexity?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error, stretches of text taken as independent." })
  readonly pseudoPerplexityStandardError?: number | null;

  @Field(() => Float, { nullable: true, description: "Share of tokens that were found most probable, each masked alone, 0 to 1." })
  readonly maskedAccuracy?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error, stretches of text taken as independent." })
  readonly maskedAccuracyStandardError?: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "Of labelled texts: the mean over classes of F1, the harmonic mean of precision and recall, 0 to 1.",
  })
  readonly f1?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error, by the jackknife." })
  readonly f1StandardError?: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "Of pairs with scores: Spearman's rank correlation of the cosine of both texts' vectors with the score, -1 to 1.",
  })
  readonly spearman?: number | null;

  @Field(() => Float, { nullable: true, description: "Its standard error, by Fisher's transformation." })
  readonly spearmanStandardError?: number | null;

  @Field(() => Float, { nullable: true, description: "Tokens read per second, 128 at a time. Null if speed was not to be measured." })
  readonly prefillTokensPerSecond?: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "Tokens gone through per second one after another, one stream, with the cache. Null if speed was not to be measured.",
  })
  readonly decodeTokensPerSecond?: number | null;

  @Field(() => Float, { nullable: true, description: "How long the measurement took, loading and timing left out, in milliseconds." })
  readonly durationMs?: number | null;

  @Field(() => bigInt, { nullable: true, description: "The most memory that the measuring process held, in bytes." })
  readonly peakMemoryBytes?: number | null;
}

@ObjectType({ implements: [Run, Node], description: "A measurement of a model on a dataset." })
export class Evaluation extends Run {
  @Field(() => EvaluationResult, { nullable: true, description: "What was measured, once it has succeeded." })
  readonly result!: EvaluationResult | null;

  @Field(() => String, {
    nullable: true,
    description:
      "Evaluations whose keys are equal measured the same thing the same way: equal records, equal settings that bear on the result, and equal tokenizers. Others do not compare.",
  })
  readonly comparisonKey!: string | null;

  @Field(() => Float, {
    nullable: true,
    description:
      "Share of the dataset's passages that the model or an ancestor was pruned, healed or compressed with, 0 to 1. Above 0.02 it must be allowed.",
  })
  readonly overlapRatio!: number | null;
}

export const EvaluationConnection = connectionType(Evaluation);

@ObjectType({ description: "How much of what its parent could do a model still can, by two evaluations that compare." })
export class Retained {
  @Field(() => Evaluation, {
    description:
      "The newest comparable evaluation of the parent; of a healed model that of the nearest ancestor that is larger, for its parent is damaged alike.",
  })
  readonly parent!: Evaluation;

  @Field(() => Float, {
    nullable: true,
    description:
      "Accuracy over the parent's: of next tokens for texts, of answers for items with choices. Null where the parent's is 0, and so with the other ratios.",
  })
  readonly accuracyRatio!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "For items: accuracy less the parent's, or the share of exact matches less the parent's.",
  })
  readonly accuracyDifference?: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "Its standard error. Both answered the same items: where it is known which each had right, that is reckoned with.",
  })
  readonly accuracyDifferenceStandardError?: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      "For items: accuracy above that of guessing, over the parent's; guessing a text gets nothing. 0 if the model does no better than chance. Null unless the parent's is above chance by two standard errors: `aboveChanceObstacle` then says so.",
  })
  readonly aboveChanceRatio?: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "Its standard error, by the delta method. It reckons with which items both had right, where that is known.",
  })
  readonly aboveChanceRatioStandardError?: number | null;

  @Field(() => String, {
    nullable: true,
    description: "Why `aboveChanceRatio` is null, in a sentence. Null where it is not, and for texts.",
  })
  readonly aboveChanceObstacle?: string | null;

  @Field(() => Float, { nullable: true, description: "Exact matches over the parent's, for answers that are written." })
  readonly exactMatchRatio!: number | null;

  @Field(() => Float, { nullable: true, description: "`acc_norm` over the parent's, for items with choices." })
  readonly normalizedAccuracyRatio!: number | null;

  @Field(() => Float, { nullable: true, description: "`acc_bytes` over the parent's, for items with choices." })
  readonly byteNormalizedAccuracyRatio!: number | null;

  @Field(() => Float, { nullable: true, description: "Perplexity over the parent's, for texts: above 1 is worse." })
  readonly perplexityRatio!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "Decoding speed over the parent's, if both were timed: at different times, perhaps on different machines.",
  })
  readonly decodeSpeedRatio!: number | null;
}

@InputType({ description: "Another model to hold the measured one against. It must have the same tokenizer, and need be no relative." })
export class EvaluationAgainstInput {
  @Field(() => ID, { description: "The other model: that from which this one was pruned, for instance." })
  readonly modelId!: string;

  @Field(() => Int, {
    defaultValue: 32,
    description:
      "Prompts that both go on from, 0 to 1,000: of texts, stretches of 32 tokens, evenly spread over them; of a dataset of prompts, its first.",
  })
  readonly prompts!: number;

  @Field(() => Int, {
    defaultValue: 64,
    description: "Tokens that both write after each prompt, 1 to 1,024; fewer where the context is short.",
  })
  readonly newTokens!: number;
}

@ObjectType({ description: "The model that an evaluation holds its model against, and how." })
export class EvaluationAgainst {
  @Field(() => Model, { nullable: true, description: "The other model; null once it is deleted." })
  readonly model!: ModelRecord | null;

  @Field(() => Int, { description: "Prompts that both go on from." })
  readonly prompts!: number;

  @Field(() => Int, { description: "Tokens that both write after each prompt." })
  readonly newTokens!: number;
}

@ObjectType("EvaluationAnswer", { description: "Where in what a model wrote its answer was looked for." })
@InputType("EvaluationAnswerInput", { description: "Where in what a model writes its answer is." })
export class EvaluationAnswerInput implements AnswerPattern {
  @Field(() => String, {
    description:
      "A regular expression in the syntax of RE2, up to 200 characters: the answer is what its first group holds, or all of the match where it has none. Where nothing matches, the item is wrong.",
  })
  readonly pattern!: string;

  @Field(() => answerMatchEnum, { defaultValue: "FIRST", description: "Which match counts." })
  readonly match!: AnswerMatch;
}

@InputType({ description: "What to measure, and on what." })
export class StartEvaluationInput {
  @Field(() => RunSubjectInput, { description: "What to measure." })
  readonly subject!: RunSubjectInput;

  @Field(() => DatasetInput, { description: "The texts or items to measure on; not those that it was pruned, healed or compressed with." })
  readonly dataset!: DatasetInput;

  @Field(() => Int, { defaultValue: 256, description: "For texts: tokens of a window, 2 to the model's context length." })
  readonly sequenceLength!: number;

  @Field(() => Int, {
    nullable: true,
    description:
      "For texts: tokens from one window's start to the next, 1 to `sequenceLength`. Without it, windows lie side by side, as in the pruning papers; fewer give every token more context and take longer.",
  })
  readonly stride?: number | null;

  @Field(() => Int, { nullable: true, description: "For texts: stop after this many predicted tokens. Without it, all are read." })
  readonly maxTokens?: number | null;

  @Field(() => Int, {
    nullable: true,
    description: "For items with choices or prompts: stop after this many. Without it, all are answered.",
  })
  readonly maxItems?: number | null;

  @Field(() => Int, {
    defaultValue: 64,
    description: "For prompts: tokens of an answer at most, 1 to 4,096; the model may end it earlier.",
  })
  readonly maxNewTokens!: number;

  @Field(() => [String], {
    defaultValue: [],
    description: "For prompts: texts at which an answer ends, up to 16 of up to 100 characters. They are no part of it.",
  })
  readonly stop!: readonly string[];

  @Field(() => EvaluationAnswerInput, {
    nullable: true,
    description: "For prompts: where in what the model writes its answer is. Without it, the answer is all that it writes.",
  })
  readonly answer?: EvaluationAnswerInput | null;

  @Field(() => EvaluationAgainstInput, {
    nullable: true,
    description:
      "Hold it against another model too: on texts by `divergence`, `greedyAgreement` and `commonBeginningTokens`, on prompts by the last alone. Not on items with choices.",
  })
  readonly against?: EvaluationAgainstInput | null;

  @Field(() => Boolean, { defaultValue: true, description: "Whether to time prefill and decoding too, which takes seconds." })
  readonly measureSpeed!: boolean;

  @Field(() => Boolean, {
    defaultValue: false,
    description: "Measure even on texts that the model was pruned, healed or compressed with; it is recorded.",
  })
  readonly allowOverlap!: boolean;

  @Field(() => executionProviderEnum, { defaultValue: "AUTO", description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}

@ObjectType({ description: "What `startEvaluation` gives." })
export class StartEvaluationPayload {
  @Field(() => Evaluation, { description: "The run, which waits for a worker." })
  readonly run!: Evaluation;
}
