import { createUnionType, Field, Float, ID, InputType, Int, ObjectType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { executionProviderEnum, finishReasonEnum } from "../enums.ts";

@InputType({ description: "What to write on from, and how." })
export class GenerateInput {
  @Field(() => ID, { description: "The model that writes." })
  readonly modelId!: string;

  @Field(() => String, { description: "The text to go on from, up to 100,000 characters." })
  readonly prompt!: string;

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

  @Field(() => Int, { defaultValue: 0, description: "Where chance starts: the same seed gives the same text." })
  readonly seed!: number;

  @Field(() => executionProviderEnum, { defaultValue: "AUTO", description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}

@ObjectType({ description: "How a generation went." })
export class GenerationSummary {
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
}

@ObjectType({ description: "A finished generation." })
export class GenerationResult {
  @Field(() => String, { description: "What was written, without the prompt." })
  readonly text!: string;

  @Field(() => [Int], { description: "The tokens that were written." })
  readonly tokenIds!: readonly number[];

  @Field(() => GenerationSummary, { description: "How it went." })
  readonly summary!: GenerationSummary;
}

@ObjectType({ description: "The next piece of a text that is being written." })
export class GenerationDelta {
  @Field(() => String, { description: "Whole characters: a token that ends inside one is held back until the rest comes." })
  readonly text!: string;

  @Field(() => [Int], { description: "The tokens that gave the text." })
  readonly tokenIds!: readonly number[];
}

@ObjectType({ description: "The end of a generation." })
export class GenerationCompleted {
  @Field(() => GenerationSummary, { description: "How it went." })
  readonly summary!: GenerationSummary;
}

export const GenerationEvent = createUnionType({
  name: "GenerationEvent",
  description: "What the subscription `generate` sends: pieces of text, then one summary.",
  types: () => [GenerationDelta, GenerationCompleted] as const,
  resolveType: (event) => ("summary" in event ? GenerationCompleted : GenerationDelta),
});
