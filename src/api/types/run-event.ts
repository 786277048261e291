import { Field, Float, ID, Int, InterfaceType, ObjectType } from "type-graphql";
import type { EventType, PlainEvents } from "../../store/events.ts";
import type { RunKind } from "../../store/runs.ts";
import { dateTime } from "../scalars.ts";
import { Failure } from "./failure.ts";

/** The GraphQL types of events that tell nothing particular. */
const plain: Readonly<Record<keyof PlainEvents, string>> = {
  QUEUED: "RunQueued",
  STARTED: "RunStarted",
  PROGRESS: "RunProgressed",
  SUCCEEDED: "RunSucceeded",
  FAILED: "RunFailed",
  CANCELLED: "RunCancelled",
  RESUMED: "RunResumed",
};

/** Those of kinds of run whose events tell more. */
const particular: { readonly [Kind in RunKind]?: Readonly<Partial<Record<EventType<Kind>, string>>> } = {
  PRUNING: {
    STARTED: "PruningStarted",
    SCORING: "PruningScoring",
    RESTORING: "PruningRestoring",
    ITERATION: "PruningIterationCompleted",
    SUCCEEDED: "PruningSucceeded",
    RESUMED: "PruningResumed",
  },
  RECOVERY: {
    WRITING: "RecoveryWriting",
    TEXTS: "RecoveryTextsWritten",
    STARTED: "RecoveryStarted",
    STEP: "RecoveryStepped",
    READ: "RecoveryRead",
    CHECK: "RecoveryChecked",
    RETREATED: "RecoveryRetreated",
    SUCCEEDED: "RecoverySucceeded",
    RESUMED: "RecoveryResumed",
  },
  COMPRESSION: {
    STARTED: "CompressionStarted",
    COMPRESSED: "ProductsCompressed",
    SUCCEEDED: "CompressionSucceeded",
    RESUMED: "CompressionResumed",
  },
  IMPORT: { PROGRESS: "ImportProgressed" },
};

/** What tells the types of events apart. */
interface TypedEvent {
  readonly kind: RunKind;
  readonly type: EventType;
}

const eventTypeName = ({ kind, type }: TypedEvent): string => {
  const own: Readonly<Record<string, string>> = particular[kind] ?? {};
  return own[type] ?? (plain as Readonly<Record<string, string>>)[type] ?? "";
};

@InterfaceType({
  description: "Something that happened in a run. Events of a run are numbered without gaps and kept as long as the run.",
  resolveType: eventTypeName,
})
export abstract class RunEvent {
  @Field(() => ID, { description: "The run." })
  readonly runId!: string;

  @Field(() => Int, { description: "Its number in the run, from 1. A client that reconnects passes the last it saw as `after`." })
  readonly sequence!: number;

  @Field(() => dateTime, { description: "When it happened." })
  readonly createdAt!: Date;
}

@ObjectType({ implements: RunEvent, description: "The run whose result it waited for has made it: it is in the queue." })
export class RunQueued extends RunEvent {}

@ObjectType({ implements: RunEvent, description: "A worker begins the run, from its beginning." })
export class RunStarted extends RunEvent {
  @Field(() => Int, { description: "How many workers have taken it up, this one among them." })
  readonly attempt!: number;
}

@ObjectType({ implements: RunEvent, description: "The run has come further." })
export class RunProgressed extends RunEvent {
  @Field(() => Float, { description: "Share of the work that is done, 0 to 1." })
  readonly progress!: number;
}

@ObjectType({ implements: RunEvent, description: "The run is done; its result is there. Its last event." })
export class RunSucceeded extends RunEvent {}

@ObjectType({ implements: RunEvent, description: "The run was ended by an error. Its last event, unless it is resumed." })
export class RunFailed extends RunEvent {
  @Field(() => Failure, { description: "What went wrong." })
  readonly error!: Failure;
}

@ObjectType({ implements: RunEvent, description: "The run was ended by request. Its last event, unless it is resumed." })
export class RunCancelled extends RunEvent {}

@ObjectType({ implements: RunEvent, description: "The run was put back into the queue." })
export class RunResumed extends RunEvent {}

/** The types of events that kinds of run have which tell nothing particular. */
export const runEventTypes = [RunQueued, RunStarted, RunProgressed, RunSucceeded, RunFailed, RunCancelled, RunResumed];
