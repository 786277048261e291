import { Field, Float, Int, ObjectType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { executionProviderEnum } from "../enums.ts";
import { bigInt } from "../scalars.ts";
import { RunEvent } from "./run-event.ts";

const ofHeldBack = "the loss of the texts that are held back, in nats per token";

@ObjectType({ implements: RunEvent, description: "What the run learns from writes its texts. Such events are stored now and then." })
export class RecoveryWriting extends RunEvent {
  @Field(() => Int, { description: "Tokens that it has written." })
  readonly tokens!: number;

  @Field(() => Int, { description: "Tokens that it is to write." })
  readonly tokensTotal!: number;
}

@ObjectType({ implements: RunEvent, description: "What the run learns from has written its texts: they are a dataset now." })
export class RecoveryTextsWritten extends RunEvent {
  @Field(() => Int, { description: "How many texts they are." })
  readonly texts!: number;

  @Field(() => Int, { description: "How many tokens they have." })
  readonly tokens!: number;
}

@ObjectType({ implements: RunEvent, description: "The run has loaded its models, and measured both before it trains." })
export class RecoveryStarted extends RunEvent {
  @Field(() => executionProviderEnum, { description: "What it runs on." })
  readonly executionProvider!: ExecutionProvider;

  @Field(() => bigInt, { description: "Numbers that are trained, or solved for." })
  readonly trainedParameterCount!: number;

  @Field(() => Int, { description: "Steps to make, or batches to read." })
  readonly steps!: number;

  @Field(() => Float, { description: `Of the model as it is: ${ofHeldBack}.` })
  readonly heldBackLoss!: number;

  @Field(() => Float, { nullable: true, description: `Of the teacher: ${ofHeldBack}; null if there is none.` })
  readonly teacherLoss!: number | null;
}

@ObjectType({ implements: RunEvent, description: "The run has made another step. Such events are stored now and then." })
export class RecoveryStepped extends RunEvent {
  @Field(() => Int, { description: "The step, from 1." })
  readonly step!: number;

  @Field(() => Int, { description: "Steps to make." })
  readonly steps!: number;

  @Field(() => Float, { description: "What is trained for, of the step's own texts: the weighted sum of the objectives." })
  readonly loss!: number;

  @Field(() => Float, { description: "The norm of its gradient, before it was made shorter." })
  readonly gradientNorm!: number;

  @Field(() => Float, { description: "The rate it was made with." })
  readonly learningRate!: number;

  @Field(() => Float, { description: "Tokens trained on per second, of the process that is at it." })
  readonly tokensPerSecond!: number;

  @Field(() => Float, { description: "How long the run will probably still take, in milliseconds." })
  readonly estimatedMsLeft!: number;
}

@ObjectType({
  implements: RunEvent,
  description: "The run has read another batch of the texts by which it solves for weights. Such events are stored now and then.",
})
export class RecoveryRead extends RunEvent {
  @Field(() => Int, { description: "Batches that are read, from 1." })
  readonly step!: number;

  @Field(() => Int, { description: "Batches to read." })
  readonly steps!: number;

  @Field(() => Float, { description: "Tokens read per second, of the process that is at it." })
  readonly tokensPerSecond!: number;

  @Field(() => Float, { description: "How long the run will probably still take, in milliseconds." })
  readonly estimatedMsLeft!: number;
}

@ObjectType({
  implements: RunEvent,
  description: "The run was held against the texts that are held back, and goes on from here if it is broken off.",
})
export class RecoveryChecked extends RunEvent {
  @Field(() => Int, { description: "The step after which it was." })
  readonly step!: number;

  @Field(() => Float, { description: `Of the model as it is now: ${ofHeldBack}.` })
  readonly heldBackLoss!: number;

  @Field(() => Boolean, { description: "Whether it is the best so far." })
  readonly isBest!: boolean;

  @Field(() => Float, {
    nullable: true,
    description: "Share of what the model had lost to its teacher that is won back. Null if it had lost nothing.",
  })
  readonly wonBackRatio!: number | null;

  @Field(() => Float, { description: "Tokens trained on per second, of the process that is at it." })
  readonly tokensPerSecond!: number;

  @Field(() => Float, { description: "How long the run will probably still take, in milliseconds." })
  readonly estimatedMsLeft!: number;
}

@ObjectType({
  implements: RunEvent,
  description: "Training went astray: the run goes back to its last check, and on from there at half the rate.",
})
export class RecoveryRetreated extends RunEvent {
  @Field(() => Int, { description: "The step that went wrong." })
  readonly step!: number;

  @Field(() => Int, { description: "The step that it goes on after; 0 for the beginning." })
  readonly backToStep!: number;

  @Field(() => String, { description: "What was wrong." })
  readonly reason!: string;

  @Field(() => Float, { description: "What all rates are multiplied with from now on." })
  readonly rateFactor!: number;
}

@ObjectType({ implements: RunEvent, description: "The run has stored the healed model. Its last event." })
export class RecoverySucceeded extends RunEvent {
  @Field(() => bigInt, { description: "Parameters of the healed model." })
  readonly parameterCount!: number;

  @Field(() => Int, { description: "The step whose weights were kept; 0 if none was better than the model as it was." })
  readonly bestStep!: number;

  @Field(() => Float, { description: `Of the healed model: ${ofHeldBack}.` })
  readonly loss!: number;

  @Field(() => Float, {
    nullable: true,
    description: "Share of what the model had lost to its teacher that is won back. Null if it had lost nothing.",
  })
  readonly wonBackRatio!: number | null;
}

@ObjectType({ implements: RunEvent, description: "The run goes on, after the last check that is stored." })
export class RecoveryResumed extends RunEvent {
  @Field(() => Int, { description: "Steps that it need not make again." })
  readonly step!: number;
}

/** The types of events that only recovery runs have. */
export const recoveryEventTypes = [
  RecoveryWriting,
  RecoveryTextsWritten,
  RecoveryStarted,
  RecoveryStepped,
  RecoveryRead,
  RecoveryChecked,
  RecoveryRetreated,
  RecoverySucceeded,
  RecoveryResumed,
];
