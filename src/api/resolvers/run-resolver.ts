import { Arg, Args, Ctx, FieldResolver, ID, Int, Mutation, Query, Resolver, Root } from "type-graphql";
import { kindOf, standsOf } from "../../jobs/run-kinds.ts";
import { blaming } from "../../rules/validate.ts";
import { deleteRun } from "../../services/delete-run.ts";
import type { DatasetRecord } from "../../store/datasets.ts";
import type { ModelRecord } from "../../store/models.ts";
import { cancelRun, getRun, listRuns, type RunOrder, type RunRecord, resumeRun } from "../../store/runs.ts";
import { requireRole } from "../access.ts";
import { pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { runOrderEnum } from "../enums.ts";
import { given } from "../given.ts";
import { Needs } from "../needs.ts";
import { type Connection, connectionOf, PageArgs } from "../types/connection.ts";
import { Dataset } from "../types/dataset.ts";
import { Model } from "../types/model.ts";
import {
  CancelRunInput,
  CancelRunPayload,
  DeleteRunInput,
  DeleteRunPayload,
  ResumeRunInput,
  ResumeRunPayload,
  Run,
  RunConnection,
  RunFilter,
} from "../types/run.ts";

/** A run that the client may end and take up again. @throws EspalierError RUN_NOT_FOUND; FORBIDDEN if its kind needs a higher role */
async function ownedRun({ store, caller }: Context, id: string, operation: string): Promise<RunRecord> {
  const run = await blaming("input.id", getRun(store.prisma, id));
  requireRole(caller, kindOf(run).role, operation);
  return run;
}

@Resolver(() => Run)
export class RunResolver {
  @Needs("READ")
  @Query(() => RunConnection, { description: "Runs of all kinds.", complexity: pageCost })
  async runs(
    @Args(() => PageArgs) page: PageArgs,
    @Arg("filter", () => RunFilter, { defaultValue: {}, description: "Which ones." }) filter: RunFilter,
    @Arg("orderBy", () => runOrderEnum, { defaultValue: "NEWEST_FIRST", description: "In which order." }) orderBy: RunOrder,
    @Ctx() { store }: Context,
  ): Promise<Connection<RunRecord>> {
    return connectionOf(page, (request) => listRuns(store.prisma, request, given(filter), orderBy));
  }

  @Needs("READ")
  @Query(() => Run, { nullable: true, description: "A run of any kind; null if there is none." })
  run(@Arg("id", () => ID, { description: "Its identity." }) id: string, @Ctx() { loaders }: Context): Promise<RunRecord | null> {
    return loaders.runs.load(id);
  }

  @Needs("GENERATE")
  @Mutation(() => CancelRunPayload, {
    description: "Ends a run that is not over. What it has recorded stays. A pruning run can be ended by those who may start one.",
  })
  async cancelRun(
    @Arg("input", () => CancelRunInput, { description: "Which run." }) { id }: CancelRunInput,
    @Ctx() context: Context,
  ): Promise<{ run: RunRecord }> {
    await ownedRun(context, id, "cancelRun");
    return { run: await blaming("input.id", cancelRun(context.store, id)) };
  }

  @Needs("GENERATE")
  @Mutation(() => ResumeRunPayload, {
    description:
      "Puts a run that was cancelled or failed back into the queue: it goes on after the steps it has stored, if its kind stores any. A pruning run can be resumed by those who may start one.",
  })
  async resumeRun(
    @Arg("input", () => ResumeRunInput, { description: "Which run." }) { id }: ResumeRunInput,
    @Ctx() context: Context,
  ): Promise<{ run: RunRecord }> {
    await ownedRun(context, id, "resumeRun");
    return { run: await blaming("input.id", resumeRun(context.store, id, standsOf, context.queue.addRun)) };
  }

  @Needs("GENERATE")
  @Mutation(() => DeleteRunPayload, {
    description:
      "Deletes a run that is over, with its steps, scores and events. One whose result is there is kept (`RUN_HAS_RESULT`): it says how the model was made. A pruning run can be deleted by those who may start one.",
  })
  async deleteRun(
    @Arg("input", () => DeleteRunInput, { description: "Which run." }) { id }: DeleteRunInput,
    @Ctx() context: Context,
  ): Promise<DeleteRunPayload> {
    await ownedRun(context, id, "deleteRun");
    await blaming("input.id", deleteRun(context, id));
    return { deletedId: id };
  }

  @FieldResolver(() => Model, { nullable: true, description: "The model it works on; null while it waits for the result of another run." })
  model(@Root() { modelId }: RunRecord, @Ctx() { loaders }: Context): Promise<ModelRecord | null> | null {
    return modelId === null ? null : loaders.models.load(modelId);
  }

  @FieldResolver(() => Run, { nullable: true, description: "The run whose result it works on, if that is how it was asked for." })
  resultOf(@Root() { subjectRunId }: RunRecord, @Ctx() { loaders }: Context): Promise<RunRecord | null> | null {
    return subjectRunId === null ? null : loaders.runs.load(subjectRunId);
  }

  @FieldResolver(() => Dataset, {
    nullable: true,
    description: "The texts or items it works with; null for a run of a version that did not record them.",
  })
  dataset(@Root() { datasetId }: RunRecord, @Ctx() { loaders }: Context): Promise<DatasetRecord | null> | null {
    return datasetId === null ? null : loaders.datasets.load(datasetId);
  }

  @FieldResolver(() => Int, {
    nullable: true,
    description:
      "Its place among the runs of its kind that wait for the same execution provider, from 1; null unless it waits for a worker.",
  })
  queuePosition(@Root() { id, status }: RunRecord, @Ctx() { loaders }: Context): Promise<number | null> | null {
    return status === "QUEUED" ? loaders.queuePositions.load(id) : null;
  }

  @FieldResolver(() => Model, { nullable: true, description: "The model it made, once it has succeeded, if its kind makes one." })
  resultModel(@Root() { resultModelId }: RunRecord, @Ctx() { loaders }: Context): Promise<ModelRecord | null> | null {
    return resultModelId === null ? null : loaders.models.load(resultModelId);
  }
}
