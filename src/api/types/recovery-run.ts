import { Field, Float, ID, InputType, Int, ObjectType } from "type-graphql";
import { defaultRecoveryOptions } from "../../recovery/options.ts";
import type { SelfTextOptions } from "../../text/self-text-options.ts";
import { recoveryMethodEnum } from "../enums.ts";
import { OneOf } from "../one-of.ts";
import { bigInt } from "../scalars.ts";
import { connectionType } from "./connection.ts";
import { DatasetInput } from "./dataset.ts";
import { Node } from "./node.ts";
import { RecoveryOptions } from "./recovery-options.ts";
import { Run, RunSubjectInput } from "./run.ts";

@ObjectType({ description: "A way of healing." })
export class RecoveryMethodInfo {
  @Field(() => recoveryMethodEnum, { description: "The name to ask for it by." })
  readonly name!: string;

  @Field(() => String, { description: "What is trained, or solved for." })
  readonly description!: string;

  @Field(() => Float, {
    nullable: true,
    description: "The learning rate that is taken where none is asked for; null where weights are solved for, and nothing is trained.",
  })
  readonly learningRate!: number | null;
}

@ObjectType({ description: "What came of healing. Losses are of texts that were held back, in nats per token." })
export class RecoveryResult {
  @Field(() => Int, { description: "The step whose weights were kept; 0 if none was better than the model as it was." })
  readonly bestStep!: number;

  @Field(() => Int, { description: "Steps that were made." })
  readonly steps!: number;

  @Field(() => bigInt, { description: "Numbers that were trained, or solved for." })
  readonly trainedParameterCount!: number;

  @Field(() => bigInt, { description: "Tokens that were trained on or read, each as often as it was." })
  readonly trainedTokens!: number;

  @Field(() => Float, { description: "The loss of the model as it was." })
  readonly startLoss!: number;

  @Field(() => Float, { description: "That of the healed model." })
  readonly loss!: number;

  @Field(() => Float, { nullable: true, description: "That of the teacher; null if there was none." })
  readonly teacherLoss!: number | null;

  @Field(() => Float, {
    nullable: true,
    description:
      "Share of what the model had lost to its teacher that is won back: above 1 if it does better than that. Null if it had lost nothing.",
  })
  readonly wonBackRatio!: number | null;
}

@ObjectType({ implements: [Run, Node], description: "The healing of a pruned model: a training that wins back what was lost." })
export class RecoveryRun extends Run {
  @Field(() => recoveryMethodEnum, { description: "What is trained." })
  readonly method!: string;

  @Field(() => RecoveryOptions, { description: "What it was asked to do." })
  readonly options!: RecoveryOptions;

  @Field(() => RecoveryResult, { nullable: true, description: "What came of it, once it has succeeded." })
  readonly result!: RecoveryResult | null;

  @Field(() => bigInt, { nullable: true, description: "The most memory that its process held, in bytes, once it has succeeded." })
  readonly peakMemoryBytes!: number | null;
}

export const RecoveryRunConnection = connectionType(RecoveryRun);

@ObjectType("SelfTexts", { description: "What a model was to write by itself." })
@InputType("SelfTextsInput", {
  description:
    "What the teacher is to write by itself, sampled as `generate` samples. The seed is that of the options; the same seed gives the same texts.",
})
export class SelfTexts implements SelfTextOptions {
  @Field(() => Int, { defaultValue: 65_536, description: "Tokens in all, those of prompts among them: 1,024 to 4,194,304." })
  readonly tokens!: number;

  @Field(() => Int, { defaultValue: 256, description: "Tokens of a text at most, 8 to the model's context length." })
  readonly textTokens!: number;

  @Field(() => [String], {
    defaultValue: [],
    description: "What texts begin with, in turn, up to 1,000 of up to 2,000 characters. Without any, with what begins a document.",
  })
  readonly prompts!: readonly string[];

  @Field(() => Int, {
    defaultValue: 0,
    description:
      "Tokens that each text begins with after its prompt, drawn from all that are no control signs, each as likely: 0 to 64. One at least where there is neither a prompt nor a token that begins a document.",
  })
  readonly randomTokens!: number;

  @Field(() => Float, { defaultValue: 1, description: "Above 0 and up to 2: lower is narrower." })
  readonly temperature!: number;

  @Field(() => Float, {
    defaultValue: 1,
    description: "The fewest tokens that are this probable together are drawn from, above 0 and up to 1.",
  })
  readonly topP!: number;
}

@OneOf()
@InputType({ description: "Which texts to heal with: a dataset, one's own texts, or what the teacher writes by itself." })
export class RecoveryDatasetInput extends DatasetInput {
  @Field(() => SelfTexts, {
    nullable: true,
    description: "What the teacher writes when the run begins. It is kept as a dataset without a name: that of the run.",
  })
  readonly self?: SelfTexts | null;
}

@InputType({ description: "What to heal, how, and with which texts." })
export class StartRecoveryInput {
  @Field(() => RunSubjectInput, { description: "What to heal." })
  readonly subject!: RunSubjectInput;

  @Field(() => ID, {
    nullable: true,
    description:
      "The model to learn from: of the same tokenizer, and not always an ancestor. Without it, the nearest ancestor that has more parameters.",
  })
  readonly teacherId?: string | null;

  @Field(() => recoveryMethodEnum, { defaultValue: "LORA", description: "What is trained." })
  readonly method!: string;

  @Field(() => RecoveryDatasetInput, {
    description: "The texts to heal with. Evaluations on them are refused afterwards, as on calibration texts.",
  })
  readonly dataset!: RecoveryDatasetInput;

  @Field(() => RecoveryOptions, {
    defaultValue: { ...statedDefaults(), objectives: { ...defaultRecoveryOptions.objectives }, adapt: [...defaultRecoveryOptions.adapt] },
    description: "What to do; what is left out has the default shown.",
  })
  readonly options!: RecoveryOptions;

  @Field(() => Int, { defaultValue: 0, description: "Among runs that wait, higher goes first: -100 to 100." })
  readonly priority!: number;

  @Field(() => String, {
    nullable: true,
    description:
      "A key of the client's own, 1 to 200 characters: a request repeated with its key gives the run that the first one started, and starts no other.",
  })
  readonly idempotencyKey?: string | null;
}

/** As an input states them: the teacher lies beside the options, and the rank depends on the model. */
function statedDefaults(): RecoveryOptions {
  const { teacherId: _, ...rest } = defaultRecoveryOptions;
  return { ...rest, rank: null };
}

@ObjectType({ description: "What `startRecovery` gives." })
export class StartRecoveryPayload {
  @Field(() => RecoveryRun, { description: "The run, which waits for a worker." })
  readonly run!: RecoveryRun;
}
