import { Field, Float, ID, InputType, Int, ObjectType } from "type-graphql";
import type { EmbedOptions } from "../../inference/measure.ts";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { executionProviderEnum, poolingEnum } from "../enums.ts";

@InputType({ description: "Continuations of a text whose probability is wanted." })
export class ScoreInput {
  @Field(() => ID, { description: "The model." })
  readonly modelId!: string;

  @Field(() => String, { description: "What goes before each continuation, up to 100,000 characters." })
  readonly prompt!: string;

  @Field(() => [String], { description: "What may follow, with its leading space if it has one: 1 to 64 texts." })
  readonly continuations!: readonly string[];

  @Field(() => executionProviderEnum, { defaultValue: "AUTO", description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}

@ObjectType({ description: "How probable a model finds a continuation." })
export class ContinuationScore {
  @Field(() => [Int], { description: "Its tokens." })
  readonly tokenIds!: readonly number[];

  @Field(() => [Float], {
    nullable: "items",
    description: "The natural logarithm of each token's probability, after all before it; null where that is 0.",
  })
  readonly tokenLogprobs!: readonly (number | null)[];

  @Field(() => Float, {
    nullable: true,
    description: "Their sum: the log-likelihood of the continuation; null where its probability is 0.",
  })
  readonly logprob!: number | null;

  @Field(() => Boolean, { description: "Whether each token was the most probable one: greedy generation would write it." })
  readonly isGreedy!: boolean;
}

@InputType({ description: "Texts to be made vectors." })
export class EmbedInput {
  @Field(() => ID, { description: "The model." })
  readonly modelId!: string;

  @Field(() => [String], { description: "The texts, 1 to 64, of up to 100,000 characters together." })
  readonly texts!: readonly string[];

  @Field(() => poolingEnum, { defaultValue: "MEAN", description: "How a text's tokens become one vector." })
  readonly pooling!: EmbedOptions["pooling"];

  @Field(() => Boolean, { defaultValue: true, description: "Whether vectors are brought to length 1." })
  readonly normalize!: boolean;

  @Field(() => executionProviderEnum, { defaultValue: "AUTO", description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}
