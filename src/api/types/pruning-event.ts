import { GraphQLBigInt } from "graphql-scalars";
import { Field, Float, ID, Int, InterfaceType, ObjectType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { executionProviderEnum } from "../enums.ts";
import { JobError } from "./job.ts";
import { RemovedStructure } from "./pruning-run.ts";
import { eventTypeName, RunEvent } from "./run-event.ts";

@InterfaceType({
  implements: RunEvent,
  description: "Something that happened in a pruning run. Events of a run are numbered without gaps and kept as long as the run.",
  resolveType: eventTypeName,
})
export abstract class PruningEvent extends RunEvent {}

@ObjectType({ implements: [PruningEvent, RunEvent], description: "The run whose result it waited for has made it: it is in the queue." })
export class PruningQueued extends PruningEvent {}

@ObjectType({ implements: [PruningEvent, RunEvent], description: "The run has loaded its model and begins to score." })
export class PruningStarted extends PruningEvent {
  @Field(() => executionProviderEnum, { description: "What it runs on." })
  readonly executionProvider!: ExecutionProvider;

  @Field(() => GraphQLBigInt, { description: "Parameters of the base model." })
  readonly parameterCount!: number;

  @Field(() => GraphQLBigInt, { description: "The run goes on until no more than these are left." })
  readonly targetParameterCount!: number;

  @Field(() => Int, { description: "Structures that may be removed." })
  readonly candidates!: number;
}

@ObjectType({ implements: [PruningEvent, RunEvent], description: "An iteration has scored some more of its samples." })
export class PruningScoring extends PruningEvent {
  @Field(() => Int, { description: "The iteration, from 0." })
  readonly iteration!: number;

  @Field(() => Int, { description: "Samples scored so far in this iteration." })
  readonly samplesDone!: number;

  @Field(() => Int, { description: "Samples of this iteration." })
  readonly samplesTotal!: number;
}

@ObjectType({ implements: [PruningEvent, RunEvent], description: "An iteration has removed the structures of lowest score." })
export class PruningIterationCompleted extends PruningEvent {
  @Field(() => Int, { description: "The iteration, from 0." })
  readonly iteration!: number;

  @Field(() => [RemovedStructure], { description: "What was removed." })
  readonly removed!: readonly RemovedStructure[];

  @Field(() => GraphQLBigInt, { description: "Parameters left." })
  readonly parameterCount!: number;

  @Field(() => Float, { description: "Share of the base model's parameters removed so far, 0 to 1." })
  readonly removedRatio!: number;

  @Field(() => Float, {
    nullable: true,
    description: "Mean loss of the calibration texts before this removal, in nats per token; null if the method reads none.",
  })
  readonly loss!: number | null;

  @Field(() => Float, { nullable: true, description: "The same of their perturbed views." })
  readonly perturbedLoss!: number | null;

  @Field(() => Float, { description: "How long the iteration took, in milliseconds." })
  readonly durationMs!: number;

  @Field(() => Float, {
    nullable: true,
    description: "How long the run will probably still take, in milliseconds; null while it has removed no parameters.",
  })
  readonly estimatedMsLeft!: number | null;
}

@ObjectType({
  implements: [PruningEvent, RunEvent],
  description: "The run has reached its target and stored the pruned model. Its last event.",
})
export class PruningSucceeded extends PruningEvent {
  @Field(() => GraphQLBigInt, { description: "Parameters of the pruned model." })
  readonly parameterCount!: number;

  @Field(() => Float, { description: "Share of the base model's parameters removed, 0 to 1." })
  readonly removedRatio!: number;
}

@ObjectType({ implements: [PruningEvent, RunEvent], description: "The run was ended by an error. Its last event, unless it is resumed." })
export class PruningFailed extends PruningEvent {
  @Field(() => JobError, { description: "What went wrong." })
  readonly error!: JobError;
}

@ObjectType({ implements: [PruningEvent, RunEvent], description: "The run was ended by request. Its last event, unless it is resumed." })
export class PruningCancelled extends PruningEvent {}

@ObjectType({ implements: [PruningEvent, RunEvent], description: "The run goes on, after iterations that are stored." })
export class PruningResumed extends PruningEvent {
  @Field(() => Int, { description: "How many iterations it need not do." })
  readonly iterations!: number;

  @Field(() => GraphQLBigInt, {
    nullable: true,
    description: "Parameters left after them; null while the run waits for the result of another.",
  })
  readonly parameterCount!: number | null;

  @Field(() => Float, { description: "Share of the base model's parameters removed by them, 0 to 1." })
  readonly removedRatio!: number;

  @Field(() => ID, { nullable: true, description: "The run that did them, if it was another." })
  readonly fromRunId!: string | null;
}

/** The types of what happens in pruning runs. */
export const pruningEventTypes = [
  PruningQueued,
  PruningStarted,
  PruningScoring,
  PruningIterationCompleted,
  PruningSucceeded,
  PruningFailed,
  PruningCancelled,
  PruningResumed,
];
