import { Field, Float, ID, ObjectType } from "type-graphql";
import type { Scheme } from "../../compression/options.ts";
import type { RunKind } from "../../store/runs.ts";
import { compressionSchemeEnum, runKindEnum } from "../enums.ts";
import { bigInt, dateTime } from "../scalars.ts";
import { connectionType } from "./connection.ts";

@ObjectType({ description: "The run that made or imported a model, in short." })
export class FamilyOrigin {
  @Field(() => ID, { description: "The run's identity." })
  readonly runId!: string;

  @Field(() => runKindEnum, { description: "What it did." })
  readonly kind!: RunKind;

  @Field(() => String, {
    nullable: true,
    description: "By which method, where its kind has several: of pruning, of healing or of compressing.",
  })
  readonly method!: string | null;

  @Field(() => Float, { nullable: true, description: "Of a pruning run: share of the parameters that it removed, 0 to 1." })
  readonly removedRatio!: number | null;

  @Field(() => compressionSchemeEnum, { nullable: true, description: "Of a compression run: what weights became." })
  readonly scheme!: Scheme | null;
}

@ObjectType({ description: "What was measured of a model in one way, in short." })
export class FamilyMeasure {
  @Field(() => ID, { description: "The evaluation's identity." })
  readonly evaluationId!: string;

  @Field(() => String, { nullable: true, description: "What evaluations share that measured the same thing the same way." })
  readonly comparisonKey!: string | null;

  @Field(() => String, { nullable: true, description: "The dataset's name; null for texts of a request." })
  readonly datasetName!: string | null;

  @Field(() => Float, { nullable: true, description: "exp of the mean cross-entropy per token. Lower is better." })
  readonly perplexity!: number | null;

  @Field(() => Float, { nullable: true, description: "Share of tokens whose most probable prediction was right, 0 to 1." })
  readonly nextTokenAccuracy!: number | null;

  @Field(() => Float, { nullable: true, description: "Share of items whose right choice is the most likely, 0 to 1." })
  readonly accuracy!: number | null;

  @Field(() => Float, { nullable: true, description: "Of answers that the model wrote: share of those that are right, 0 to 1." })
  readonly exactMatch!: number | null;

  @Field(() => Float, { nullable: true, description: "Tokens gone through per second one after another." })
  readonly decodeTokensPerSecond!: number | null;
}

@ObjectType({ description: "A model as a picture of all models shows it: flat, so that thousands are told in little time." })
export class FamilyMember {
  @Field(() => ID, { description: "The model's identity." })
  readonly modelId!: string;

  @Field(() => String, { description: "What people call it." })
  readonly name!: string;

  @Field(() => ID, { nullable: true, description: "The model it was made from; null if it was registered." })
  readonly parentId!: string | null;

  @Field(() => bigInt, { description: "Parameters, each weight counted once." })
  readonly parameterCount!: number;

  @Field(() => bigInt, { description: "Bytes of its graph and weights." })
  readonly sizeBytes!: number;

  @Field(() => [String], { description: "What its users file it under." })
  readonly tags!: readonly string[];

  @Field(() => dateTime, { description: "When it was registered or made." })
  readonly createdAt!: Date;

  @Field(() => FamilyOrigin, { nullable: true, description: "The run that made or imported it; null if it was registered at once." })
  readonly producedBy!: FamilyOrigin | null;

  @Field(() => [FamilyMeasure], {
    description: "Of each way in which it was measured the newest evaluation that succeeded, the newest first.",
  })
  readonly measures!: readonly FamilyMeasure[];
}

export const FamilyMemberConnection = connectionType(FamilyMember);
