import { GraphQLDateTime } from "graphql-scalars";
import { Field, Float, ID, InputType, Int, ObjectType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { executionProviderEnum, jobStatusEnum } from "../enums.ts";
import { connectionType } from "./connection.ts";
import { DatasetInput, JobError } from "./job.ts";

@ObjectType({ description: "What an evaluation measured." })
export class EvaluationResult {
  @Field(() => executionProviderEnum, { description: "What it ran on." })
  readonly executionProvider!: ExecutionProvider;

  @Field(() => String, { description: "The sha256 of the texts: evaluations compare only where it is equal." })
  readonly datasetDigest!: string;

  @Field(() => Int, { description: "Tokens that were predicted." })
  readonly tokenCount!: number;

  @Field(() => Float, { description: "exp of the mean cross-entropy per token. Lower is better." })
  readonly perplexity!: number;

  @Field(() => Float, { description: "Share of tokens whose most probable prediction was right, 0 to 1." })
  readonly nextTokenAccuracy!: number;

  @Field(() => Float, { description: "Tokens read per second, many at a time." })
  readonly prefillTokensPerSecond!: number;

  @Field(() => Float, { description: "Tokens written per second, one at a time: greedy, one stream, with the cache." })
  readonly decodeTokensPerSecond!: number;
}

@ObjectType({ description: "A measurement of a model on a text collection." })
export class Evaluation {
  @Field(() => ID, { description: "Its identity." })
  readonly id!: string;

  @Field(() => jobStatusEnum, { description: "Where it stands." })
  readonly status!: keyof typeof jobStatusEnum;

  @Field(() => EvaluationResult, { nullable: true, description: "What was measured, once it has succeeded." })
  readonly result!: EvaluationResult | null;

  @Field(() => JobError, { nullable: true, description: "Why it failed, if it did." })
  readonly error!: JobError | null;

  @Field(() => GraphQLDateTime, { description: "When it was asked for." })
  readonly createdAt!: Date;

  @Field(() => GraphQLDateTime, { nullable: true, description: "When a worker first took it up." })
  readonly startedAt!: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: "When it ended." })
  readonly finishedAt!: Date | null;
}

export const EvaluationConnection = connectionType(Evaluation);

@InputType({ description: "What to measure, and on what." })
export class EvaluateModelInput {
  @Field(() => ID, { description: "The model to measure." })
  readonly modelId!: string;

  @Field(() => DatasetInput, { description: "The texts to measure on; best not those that it was pruned with." })
  readonly dataset!: DatasetInput;

  @Field(() => Int, { defaultValue: 256, description: "Tokens of a window, 2 to the model's context length; windows do not overlap." })
  readonly sequenceLength!: number;

  @Field(() => Int, { nullable: true, description: "Stop after this many predicted tokens. Without it, all texts are read." })
  readonly maxTokens?: number | null;

  @Field(() => executionProviderEnum, { defaultValue: "AUTO", description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}
