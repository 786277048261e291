import { Field, Float, ID, InputType, Int, ObjectType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import type { PoolingMode } from "../../text/pooling.ts";
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

  @Field(() => poolingEnum, {
    nullable: true,
    description: "How a text's tokens become one vector; unless said as the model's own files have it (1_Pooling/config.json), else MEAN.",
  })
  readonly pooling?: PoolingMode | null;

  @Field(() => Boolean, {
    nullable: true,
    description:
      "Whether vectors are brought to length 1; unless said a model of the task EMBEDDING does as its modules.json has it, and others do.",
  })
  readonly normalize?: boolean | null;

  @Field(() => executionProviderEnum, { defaultValue: "AUTO", description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}

@InputType({ description: "A text, or a pair of texts, to be classed." })
export class ClassifiedTextInput {
  @Field(() => String, { description: "The text." })
  readonly text!: string;

  @Field(() => String, { nullable: true, description: "The second text of a pair." })
  readonly pair?: string | null;
}

@InputType({ description: "Texts whose classes are wanted." })
export class ClassifyInput {
  @Field(() => ID, { description: "The model." })
  readonly modelId!: string;

  @Field(() => [ClassifiedTextInput], { description: "The texts, 1 to 64, of up to 100,000 characters together." })
  readonly texts!: readonly ClassifiedTextInput[];

  @Field(() => executionProviderEnum, { defaultValue: "AUTO", description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}

@ObjectType({ description: "A class, and how probable the model finds it." })
export class LabelScore {
  @Field(() => String, { description: "What the model's config.json calls the class; `LABEL_n` where it does not." })
  readonly label!: string;

  @Field(() => Float, { description: "Its probability, 0 to 1. Those of a text add up to 1, unless it may be of several classes." })
  readonly score!: number;
}

@ObjectType({ description: "A token of a text, and its class." })
export class TokenLabel extends LabelScore {
  @Field(() => Int, { description: "The token's id." })
  readonly tokenId!: number;

  @Field(() => String, { description: "The text of the token alone." })
  readonly token!: string;
}

@ObjectType({ description: "What class a text is of, or its tokens are." })
export class Classification {
  @Field(() => [LabelScore], { description: "The classes of the text, the most probable first; none where the model classes tokens." })
  readonly labels!: readonly LabelScore[];

  @Field(() => [TokenLabel], { description: "The text's tokens with their most probable classes; none where the model classes texts." })
  readonly tokens!: readonly TokenLabel[];
}

@InputType({ description: "Texts with masked tokens to be told." })
export class FillMaskInput {
  @Field(() => ID, { description: "The model." })
  readonly modelId!: string;

  @Field(() => [String], {
    description:
      "The texts, 1 to 64, of up to 100,000 characters together, with the model's mask token (`[MASK]`, `<mask>`) where one is wanted.",
  })
  readonly texts!: readonly string[];

  @Field(() => Int, { defaultValue: 5, description: "How many tokens are given for each mask, 1 to 100." })
  readonly topK!: number;

  @Field(() => executionProviderEnum, { defaultValue: "AUTO", description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}

@ObjectType({ description: "A token that may stand in the place of a mask." })
export class MaskFilling {
  @Field(() => Int, { description: "The token's id." })
  readonly tokenId!: number;

  @Field(() => String, { description: "The text of the token alone." })
  readonly token!: string;

  @Field(() => Float, { description: "How probable the model finds it there, 0 to 1, the other masks of the text being masked." })
  readonly probability!: number;
}
