import { createUnionType, Field, Float, ID, InputType, Int, ObjectType } from "type-graphql";
import type { LoadingStage } from "../../inference/open-decoder.ts";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { executionProviderEnum, finishReasonEnum, loadingStageEnum } from "../enums.ts";
import { OneOf } from "../one-of.ts";

@InputType({ description: "One message of a conversation." })
export class ChatMessageInput {
  @Field(() => String, { description: "Who speaks: `system`, `user`, `assistant`, or what else the model's chat template knows." })
  readonly role!: string;

  @Field(() => String, { description: "What is said." })
  readonly content!: string;
}

@OneOf()
@InputType({ description: "What to go on from: a text, or a conversation." })
export class PromptInput {
  @Field(() => String, {
    nullable: true,
    description:
      "A text, up to 100,000 characters. It is read as a document's beginning: after what the tokenizer puts before a text, or else the BOS token, if the model names one.",
  })
  readonly text?: string | null;

  @Field(() => [ChatMessageInput], {
    nullable: true,
    description: "A conversation to answer, of 1 to 1,000 messages: it is written by the model's own chat template.",
  })
  readonly messages?: readonly ChatMessageInput[] | null;
}

@InputType({ description: "What is added to a token's logit." })
export class LogitBiasInput {
  @Field(() => Int, { description: "The token." })
  readonly tokenId!: number;

  @Field(() => Float, { description: "From -100, which all but forbids it, to 100, which all but forces it." })
  readonly bias!: number;
}

@InputType({ description: "How to write." })
abstract class WritingInput {
  @Field(() => PromptInput, { description: "What to go on from." })
  readonly prompt!: PromptInput;

  @Field(() => Int, { defaultValue: 128, description: "Write at most so many tokens, 1 to 4,096." })
  readonly maxTokens!: number;

  @Field(() => Float, {
    defaultValue: 0,
    description: "How freely tokens are drawn, 0 to 10: 0 always takes the most probable one, 1 follows the model's probabilities.",
  })
  readonly temperature!: number;

  @Field(() => Int, { defaultValue: 0, description: "Draw from this many of the most probable tokens only; 0 is all." })
  readonly topK!: number;

  @Field(() => Float, {
    defaultValue: 1,
    description: "Draw from the most probable tokens that together have this probability, above 0 and up to 1; 1 is all.",
  })
  readonly topP!: number;

  @Field(() => Float, {
    defaultValue: 0,
    description: "Draw only tokens at least this many times as probable as the most probable one, 0 to 1; 0 is all.",
  })
  readonly minP!: number;

  @Field(() => Float, {
    defaultValue: 1,
    description: "Divides the positive logits of tokens already in prompt or text, and multiplies the others, 0.01 to 10; 1 is none.",
  })
  readonly repetitionPenalty!: number;

  @Field(() => Float, { defaultValue: 0, description: "Taken off a logit for each time its token has been written, -2 to 2." })
  readonly frequencyPenalty!: number;

  @Field(() => Float, { defaultValue: 0, description: "Taken off a logit once its token has been written, -2 to 2." })
  readonly presencePenalty!: number;

  @Field(() => [LogitBiasInput], { defaultValue: [], description: "Added to logits of single tokens, at most 300 of them." })
  readonly logitBias!: readonly LogitBiasInput[];

  @Field(() => [String], {
    defaultValue: [],
    description: "Strings that end the text and are not part of it, wherever tokens begin and end: up to 16, of 1 to 200 characters.",
  })
  readonly stop!: readonly string[];

  @Field(() => Int, {
    defaultValue: 0,
    description: "Where chance starts: the same seed gives the same text, whatever else the server is doing.",
  })
  readonly seed!: number;

  @Field(() => Boolean, {
    defaultValue: false,
    description: "Leave out the beginning of a prompt that is too long for the model's context, rather than refuse it.",
  })
  readonly truncatePrompt!: boolean;

  @Field(() => Int, {
    defaultValue: 120_000,
    description: "End the text after so many milliseconds, waiting for its turn included, 1 to 600,000.",
  })
  readonly timeLimitMs!: number;

  @Field(() => Int, {
    nullable: true,
    description: "Give the log probability of each token, and of so many of the most probable ones in its place, 0 to 20.",
  })
  readonly topLogprobs?: number | null;

  @Field(() => executionProviderEnum, { defaultValue: "AUTO", description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}

@InputType({ description: "What to write on from, and how." })
export class GenerateInput extends WritingInput {
  @Field(() => ID, { description: "The model that writes." })
  readonly modelId!: string;

  @Field(() => String, {
    nullable: true,
    description:
      "With `prompt: { messages }`: what the answer begins with. It is read after what the chat template writes, and gone on from.",
  })
  readonly answerBegins?: string | null;

  @Field(() => Boolean, {
    defaultValue: false,
    description: "Give the prompt out first, with its log probabilities if they are asked for.",
  })
  readonly echo!: boolean;

  @Field(() => Int, { defaultValue: 1, description: "Texts to write, 1 to 8, with seeds that count up." })
  readonly n!: number;
}

@InputType({ description: "What several models write on from, and how." })
export class CompareInput extends WritingInput {
  @Field(() => [ID], { description: "The models, 1 to 4: for instance a child and its parent." })
  readonly modelIds!: readonly string[];
}

@ObjectType({ description: "How probable a token is to the model." })
export class TokenProbability {
  @Field(() => Int, { description: "The token." })
  readonly tokenId!: number;

  @Field(() => Float, {
    nullable: true,
    description:
      "The natural logarithm of its probability, by the model alone: before temperature, penalties and bias. Null where that is 0.",
  })
  readonly logprob!: number | null;

  @Field(() => String, {
    description: "Its text by itself. Of a token that holds a part of a character only, a replacement character stands there.",
  })
  readonly text!: string;
}

@ObjectType({ description: "How probable a written token was, and what else was." })
export class TokenLogprob extends TokenProbability {
  @Field(() => [TokenProbability], { description: "The most probable tokens in its place, as many as were asked for." })
  readonly top!: readonly TokenProbability[];
}

@ObjectType({ description: "How a generation went." })
export class GenerationSummary {
  @Field(() => Int, { description: "Which of the texts that were asked for, from 0." })
  readonly index!: number;

  @Field(() => finishReasonEnum, { description: "Why it ended." })
  readonly finishReason!: keyof typeof finishReasonEnum;

  @Field(() => Int, { description: "Tokens of the prompt." })
  readonly promptTokens!: number;

  @Field(() => Int, { description: "Tokens written." })
  readonly completionTokens!: number;

  @Field(() => Float, { description: "Milliseconds from the request to the first token." })
  readonly timeToFirstTokenMs!: number;

  @Field(() => Float, { description: "Tokens written per second, after the first." })
  readonly tokensPerSecond!: number;

  @Field(() => String, { nullable: true, description: "Why the model is served slower than it could be; null if it is not." })
  readonly limitation?: string | null;
}

@ObjectType({ description: "One of the texts of a finished generation." })
export class GenerationChoice {
  @Field(() => String, { description: "What was written; without the prompt, unless echo was asked for." })
  readonly text!: string;

  @Field(() => [Int], { description: "The tokens that were written." })
  readonly tokenIds!: readonly number[];

  @Field(() => [TokenLogprob], { nullable: true, description: "One for each token, if they were asked for." })
  readonly logprobs?: readonly TokenLogprob[] | null;

  @Field(() => GenerationSummary, { description: "How it went." })
  readonly summary!: GenerationSummary;
}

@ObjectType({ description: "A finished generation: its first text, and all of them." })
export class GenerationResult extends GenerationChoice {
  @Field(() => [GenerationChoice], { description: "All texts that were asked for, the first one too." })
  readonly choices!: readonly GenerationChoice[];
}

@ObjectType({ description: "The model is being loaded: texts come once it is." })
export class GenerationLoading {
  @Field(() => ID, { description: "The model." })
  readonly modelId!: string;

  @Field(() => loadingStageEnum, { description: "How far it is." })
  readonly loading!: LoadingStage;
}

@ObjectType({ description: "The next piece of a text that is being written." })
export class GenerationDelta {
  @Field(() => ID, { description: "The model that writes." })
  readonly modelId!: string;

  @Field(() => Int, { description: "Which of the texts that were asked for, from 0." })
  readonly index!: number;

  @Field(() => String, { description: "Whole characters: a token that ends inside one is held back until the rest comes." })
  readonly text!: string;

  @Field(() => [Int], { description: "The tokens that gave the text." })
  readonly tokenIds!: readonly number[];

  @Field(() => [TokenLogprob], { nullable: true, description: "One for each token, if they were asked for." })
  readonly logprobs?: readonly TokenLogprob[] | null;
}

@ObjectType({ description: "The end of a text." })
export class GenerationCompleted {
  @Field(() => ID, { description: "The model that wrote." })
  readonly modelId!: string;

  @Field(() => GenerationSummary, { description: "How it went." })
  readonly summary!: GenerationSummary;
}

export const GenerationEvent = createUnionType({
  name: "GenerationEvent",
  description: "What the subscriptions `generate` and `compare` send: how loading goes, pieces of text, and a summary of each text.",
  types: () => [GenerationLoading, GenerationDelta, GenerationCompleted] as const,
  resolveType: (event) => ("summary" in event ? GenerationCompleted : "loading" in event ? GenerationLoading : GenerationDelta),
});
