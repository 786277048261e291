import { Field, Float, InputType, Int, ObjectType } from "type-graphql";
import {
  type AdaptedBranch,
  defaultRecoveryOptions as defaults,
  type ObjectiveWeights,
  type RecoveryOptions as Options,
  type Schedule,
} from "../../recovery/options.ts";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { adaptedBranchEnum, executionProviderEnum, scheduleEnum } from "../enums.ts";
import { bigInt } from "../scalars.ts";

// Each class is what a client may ask for and, recorded, what a run was asked for.

@ObjectType("RecoveryObjectives", { description: "What is trained for: the weighted sum of these." })
@InputType("RecoveryObjectivesInput", { description: "What is trained for: the weighted sum of these. One at least counts." })
export class Objectives implements ObjectiveWeights {
  @Field(() => Float, {
    defaultValue: defaults.objectives.distill,
    description:
      "To predict what the teacher predicts: the divergence (KL) of the teacher's distribution over tokens from the model's. 0 to 1,000.",
  })
  readonly distill!: number;

  @Field(() => Float, {
    defaultValue: defaults.objectives.languageModel,
    description: "To predict the token that comes next in the texts: cross-entropy. 0 to 1,000.",
  })
  readonly languageModel!: number;

  @Field(() => Float, {
    defaultValue: defaults.objectives.hidden,
    description:
      "To have the teacher's state at the end of each layer: squares of what the states are apart, over those of the teacher's, token by token and on the average of all layers. The teacher is what the model was cut out of. 0 to 1,000.",
  })
  readonly hidden!: number;
}

@ObjectType("RecoveryOptions", {
  description: "What a recovery run was asked to do. With the bytes of model, teacher and dataset it determines the result.",
})
@InputType("RecoveryOptionsInput", {
  description: "What a recovery run is to do. With the bytes of model, teacher and dataset it determines the result.",
})
export class RecoveryOptions implements Omit<Options, "teacherId" | "rank"> {
  @Field(() => Objectives, { defaultValue: { ...defaults.objectives }, description: "What is trained for." })
  readonly objectives!: Objectives;

  @Field(() => Float, {
    defaultValue: defaults.temperature,
    description: "What logits are divided by before distributions are compared, above 0 and up to 100.",
  })
  readonly temperature!: number;

  @Field(() => Int, {
    nullable: true,
    defaultValue: null,
    description: `Of LORA and KRONECKER: the rank of each adapter; of SPARSITY_PRESERVING: groups of outputs. 1 to 1,024 and no more than the model's width. Null: ${defaults.rank}, or the width where that is less; it is recorded, but for a model that is still being imported.`,
  })
  readonly rank!: number | null;

  @Field(() => Float, {
    defaultValue: defaults.alpha,
    description: "Of LORA, KRONECKER and SPARSITY_PRESERVING: what is trained counts `alpha / rank` times. Above 0 and up to 65,536.",
  })
  readonly alpha!: number;

  @Field(() => [adaptedBranchEnum], {
    defaultValue: [...defaults.adapt],
    description: "Of LORA, KRONECKER and SPARSITY_PRESERVING: the branches whose products are adapted.",
  })
  readonly adapt!: readonly AdaptedBranch[];

  @Field(() => Int, {
    defaultValue: defaults.steps,
    description: "Updates of the trained weights, 1 to 1,000,000, unless it ends earlier.",
  })
  readonly steps!: number;

  @Field(() => Int, { defaultValue: defaults.batchSize, description: "Texts of one pass, 1 to 1,024. Memory grows with it." })
  readonly batchSize!: number;

  @Field(() => Int, { defaultValue: defaults.accumulate, description: "Passes whose gradients are added up to one update, 1 to 1,024." })
  readonly accumulate!: number;

  @Field(() => bigInt, {
    nullable: true,
    defaultValue: defaults.activationBytes,
    description:
      "What activations of one pass may take at most, in bytes, 16 MiB to 1 TiB. Passes that would take more are made of fewer texts, for the same sums; what is too much for one text is worked out anew in the backward pass. Null: 4 GiB.",
  })
  readonly activationBytes!: number | null;

  @Field(() => Int, { defaultValue: defaults.sequenceLength, description: "Tokens of a text, 2 to the model's context length." })
  readonly sequenceLength!: number;

  @Field(() => Float, {
    nullable: true,
    defaultValue: defaults.learningRate,
    description: "The highest rate that is reached, above 0 and up to 1. Null: the method's own, which is recorded.",
  })
  readonly learningRate!: number | null;

  @Field(() => Int, {
    defaultValue: defaults.warmupSteps,
    description: "Steps in which the rate rises from 0; all of them where there are fewer.",
  })
  readonly warmupSteps!: number;

  @Field(() => scheduleEnum, { defaultValue: defaults.schedule, description: "How the rate falls." })
  readonly schedule!: Schedule;

  @Field(() => Float, {
    defaultValue: defaults.weightDecay,
    description: "AdamW's: taken off each trained weight at each step, times the rate. 0 to 1.",
  })
  readonly weightDecay!: number;

  @Field(() => Float, { defaultValue: defaults.maxGradientNorm, description: "A gradient whose norm is larger is made as short. Above 0." })
  readonly maxGradientNorm!: number;

  @Field(() => Int, {
    defaultValue: defaults.checkEverySteps,
    description: "Every so many steps the loss of the texts held back is measured and a checkpoint is stored; after the last step too.",
  })
  readonly checkEverySteps!: number;

  @Field(() => Int, { defaultValue: defaults.heldBackTexts, description: "Texts of the dataset that are not trained on, 1 to 4,096." })
  readonly heldBackTexts!: number;

  @Field(() => Int, { defaultValue: defaults.patience, description: "It ends after so many checks in a row without a better one." })
  readonly patience!: number;

  @Field(() => Int, {
    defaultValue: defaults.seed,
    description: "Where chance starts: the same seed gives the same healed model, byte for byte.",
  })
  readonly seed!: number;

  @Field(() => executionProviderEnum, { defaultValue: defaults.executionProvider, description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}
