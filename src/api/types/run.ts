import { Field, Float, ID, InputType, Int, InterfaceType, ObjectType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import type { RunKind, RunStatus } from "../../store/runs.ts";
import { executionProviderEnum, runKindEnum, runStatusEnum } from "../enums.ts";
import { OneOf } from "../one-of.ts";
import { dateTime } from "../scalars.ts";
import { AgeFilter } from "./age-filter.ts";
import { connectionType } from "./connection.ts";
import { Failure } from "./failure.ts";
import { Node } from "./node.ts";

/** The GraphQL type of each kind of run. */
export const runTypeNames: Readonly<Record<RunKind, string>> = {
  PRUNING: "PruningRun",
  EVALUATION: "Evaluation",
  RECOVERY: "RecoveryRun",
  COMPRESSION: "CompressionRun",
  IMPORT: "ImportRun",
  EXPORT: "ExportRun",
};

@InterfaceType({
  implements: Node,
  description:
    "Work on a model that takes long. It waits for a worker, is done in a process of its own, tells of it in events, and goes on after a crash. All kinds live alike.",
  resolveType: ({ kind }: { readonly kind: RunKind }) => runTypeNames[kind],
})
export abstract class Run {
  @Field(() => ID, { description: "Its identity." })
  readonly id!: string;

  @Field(() => runKindEnum, { description: "What it does." })
  readonly kind!: RunKind;

  @Field(() => runStatusEnum, { description: "Where it stands." })
  readonly status!: RunStatus;

  @Field(() => executionProviderEnum, { nullable: true, description: "What it really runs on; null until that is known." })
  readonly executionProvider!: ExecutionProvider | null;

  @Field(() => Float, { description: "Share of the work that is done, 0 to 1." })
  readonly progress!: number;

  @Field(() => Failure, { nullable: true, description: "Why it failed, if it did." })
  readonly error!: Failure | null;

  @Field(() => Int, { description: "The sequence of its newest event: what `runProgress(after:)` takes." })
  readonly lastSequence!: number;

  @Field(() => Int, { description: "Among runs that wait, higher goes first." })
  readonly priority!: number;

  @Field(() => dateTime, { description: "When it was asked for." })
  readonly createdAt!: Date;

  @Field(() => dateTime, {
    nullable: true,
    description: "When its work began: anew with every worker, if its kind stores no steps.",
  })
  readonly startedAt!: Date | null;

  @Field(() => dateTime, { nullable: true, description: "When it ended." })
  readonly finishedAt!: Date | null;
}

export const RunConnection = connectionType(Run);

@OneOf()
@InputType({ description: "What a run is to work on. The model stays as it is." })
export class RunSubjectInput {
  @Field(() => ID, { nullable: true, description: "This model." })
  readonly modelId?: string | null;

  @Field(() => ID, {
    nullable: true,
    description:
      "The model that this run makes. If the run is not over, the new one waits for it, fails with it (`SUBJECT_FAILED`) and is cancelled with it. What must hold of a model that is still being imported is required once it is there: the run fails then, with the code that asking would have given.",
  })
  readonly resultOf?: string | null;
}

@InputType({ description: "Which runs to list, whatever their kind." })
export abstract class AnyRunFilter extends AgeFilter {
  @Field(() => [runStatusEnum], { nullable: true, description: "Those that stand at one of these." })
  readonly statuses?: RunStatus[] | null;

  @Field(() => ID, { nullable: true, description: "Those that work on this model." })
  readonly modelId?: string | null;

  @Field(() => ID, { nullable: true, description: "Those that work on the result of this run." })
  readonly resultOf?: string | null;

  @Field(() => ID, { nullable: true, description: "Those that work with this dataset." })
  readonly datasetId?: string | null;
}

@InputType({ description: "Which runs to list." })
export class RunFilter extends AnyRunFilter {
  @Field(() => [runKindEnum], { nullable: true, description: "Those of these kinds." })
  readonly kinds?: RunKind[] | null;
}

@InputType({ description: "Which run to end." })
export class CancelRunInput {
  @Field(() => ID, { description: "The run." })
  readonly id!: string;
}

@ObjectType({ description: "What `cancelRun` gives." })
export class CancelRunPayload {
  @Field(() => Run, { description: "The run, ended." })
  readonly run!: Run;
}

@InputType({ description: "Which run to delete." })
export class DeleteRunInput {
  @Field(() => ID, { description: "The run." })
  readonly id!: string;
}

@ObjectType({ description: "What `deleteRun` gives." })
export class DeleteRunPayload {
  @Field(() => ID, { description: "The identity that the run had." })
  readonly deletedId!: string;
}

@InputType({ description: "Which run to take up again." })
export class ResumeRunInput {
  @Field(() => ID, { description: "The run." })
  readonly id!: string;
}

@ObjectType({ description: "What `resumeRun` gives." })
export class ResumeRunPayload {
  @Field(() => Run, { description: "The run, back in the queue." })
  readonly run!: Run;
}
