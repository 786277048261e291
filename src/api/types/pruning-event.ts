import { Field, Float, ID, Int, ObjectType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { executionProviderEnum } from "../enums.ts";
import { bigInt } from "../scalars.ts";
import { RunEvent } from "./run-event.ts";

@ObjectType({ implements: RunEvent, description: "The run has loaded its model and begins to score." })
export class PruningStarted extends RunEvent {
  @Field(() => executionProviderEnum, { description: "What it runs on." })
  readonly executionProvider!: ExecutionProvider;

  @Field(() => bigInt, { description: "Parameters of the base model." })
  readonly parameterCount!: number;

  @Field(() => bigInt, { description: "The run goes on until no more than these are left." })
  readonly targetParameterCount!: number;

  @Field(() => Int, { description: "Structures that may be removed." })
  readonly candidates!: number;
}

@ObjectType({ implements: RunEvent, description: "An iteration has scored some more of its samples." })
export class PruningScoring extends RunEvent {
  @Field(() => Int, { description: "The iteration, from 0." })
  readonly iteration!: number;

  @Field(() => Int, { description: "Samples scored so far in this iteration." })
  readonly samplesDone!: number;

  @Field(() => Int, { description: "Samples of this iteration." })
  readonly samplesTotal!: number;
}

@ObjectType({ implements: RunEvent, description: "All that was to go is gone, and weights that make up for it are solved for." })
export class PruningRestoring extends RunEvent {
  @Field(() => Int, { description: "Products that have their new weights." })
  readonly productsDone!: number;

  @Field(() => Int, { description: "Products that heads or channels were cut from." })
  readonly productsTotal!: number;
}

@ObjectType({ implements: RunEvent, description: "An iteration has removed the structures of lowest score." })
export class PruningIterationCompleted extends RunEvent {
  @Field(() => Int, { description: "The iteration, from 0." })
  readonly iteration!: number;

  @Field(() => bigInt, { description: "Parameters left." })
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
  implements: RunEvent,
  description: "The run has reached its target and stored the pruned model. Its last event.",
})
export class PruningSucceeded extends RunEvent {
  @Field(() => bigInt, { description: "Parameters of the pruned model." })
  readonly parameterCount!: number;

  @Field(() => Float, { description: "Share of the base model's parameters removed, 0 to 1." })
  readonly removedRatio!: number;
}

@ObjectType({ implements: RunEvent, description: "The run goes on, after iterations that are stored." })
export class PruningResumed extends RunEvent {
  @Field(() => Int, { description: "How many iterations it need not do." })
  readonly iterations!: number;

  @Field(() => bigInt, {
    nullable: true,
    description: "Parameters left after them; null while the run waits for the result of another.",
  })
  readonly parameterCount!: number | null;

  @Field(() => Float, { description: "Share of the base model's parameters removed by them, 0 to 1." })
  readonly removedRatio!: number;

  @Field(() => ID, { nullable: true, description: "The run that did them, if it was another." })
  readonly fromRunId!: string | null;
}

/** The types of events that only pruning runs have. */
export const pruningEventTypes = [PruningStarted, PruningScoring, PruningIterationCompleted, PruningSucceeded, PruningResumed];
