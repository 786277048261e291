import { GraphQLDateTime } from "graphql-scalars";
import { Field, Float, ID, InputType, Int, InterfaceType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import type { RunKind, RunStatus } from "../../store/runs.ts";
import { executionProviderEnum, jobStatusEnum, runKindEnum } from "../enums.ts";
import { connectionType } from "./connection.ts";
import { JobError } from "./job.ts";

/** The GraphQL type of each kind of run. */
const typeNames: Readonly<Record<RunKind, string>> = { PRUNING: "PruningRun", EVALUATION: "Evaluation" };

@InterfaceType({
  description:
    "Work on a model that takes long. It waits for a worker, is done in a process of its own, tells of it in events, and goes on after a crash. All kinds live alike.",
  resolveType: ({ kind }: { readonly kind: RunKind }) => typeNames[kind],
})
export abstract class Run {
  @Field(() => ID, { description: "Its identity." })
  readonly id!: string;

  @Field(() => runKindEnum, { description: "What it does." })
  readonly kind!: RunKind;

  @Field(() => jobStatusEnum, { description: "Where it stands." })
  readonly status!: RunStatus;

  @Field(() => executionProviderEnum, { nullable: true, description: "What it really runs on; null until that is known." })
  readonly executionProvider!: ExecutionProvider | null;

  @Field(() => Float, { description: "Share of the work that is done, 0 to 1." })
  readonly progress!: number;

  @Field(() => JobError, { nullable: true, description: "Why it failed, if it did." })
  readonly error!: JobError | null;

  @Field(() => Int, { description: "The sequence of its newest event: what `runProgress(after:)` takes." })
  readonly lastSequence!: number;

  @Field(() => Int, { description: "Among runs that wait, higher goes first." })
  readonly priority!: number;

  @Field(() => GraphQLDateTime, { description: "When it was asked for." })
  readonly createdAt!: Date;

  @Field(() => GraphQLDateTime, {
    nullable: true,
    description: "When its work began: anew with every worker, if its kind stores no steps.",
  })
  readonly startedAt!: Date | null;

  @Field(() => GraphQLDateTime, { nullable: true, description: "When it ended." })
  readonly finishedAt!: Date | null;
}

export const RunConnection = connectionType(Run);

@InputType({ description: "What a run is to work on that is not there yet." })
export class RunSubjectInput {
  @Field(() => ID, {
    description:
      "The model that this run makes. If the run is not over, the new one waits for it, fails with it (`SUBJECT_FAILED`) and is cancelled with it.",
  })
  readonly resultOf!: string;
}

@InputType({ description: "Which runs to list." })
export class RunFilter {
  @Field(() => [runKindEnum], { nullable: true, description: "Those of these kinds." })
  readonly kinds?: RunKind[] | null;

  @Field(() => [jobStatusEnum], { nullable: true, description: "Those that stand at one of these." })
  readonly statuses?: RunStatus[] | null;

  @Field(() => ID, { nullable: true, description: "Those that work on this model." })
  readonly modelId?: string | null;
}
