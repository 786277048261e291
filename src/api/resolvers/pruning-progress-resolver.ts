import { Arg, Ctx, FieldResolver, ID, Int, Resolver, Root, Subscription } from "type-graphql";
import type { ModelRecord } from "../../store/models.ts";
import type { RunRecord } from "../../store/runs.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { Model } from "../types/model.ts";
import { PruningEvent, PruningSucceeded } from "../types/pruning-event.ts";
import { PruningRun } from "../types/pruning-run.ts";
import { type EventOfKind, type ProgressArgs, progressDescription, progressOf, tellEvent } from "./run-progress-resolver.ts";

@Resolver(() => PruningEvent)
export class PruningProgressResolver {
  @Needs("READ")
  @Subscription(() => PruningEvent, {
    description: progressDescription,
    subscribe: ({ args, context }: { args: ProgressArgs; context: Context }) => progressOf(context, args, "PRUNING"),
  })
  pruningProgress(
    @Root() event: EventOfKind,
    @Arg("runId", () => ID, { description: "The run." }) _runId: string,
    @Arg("after", () => Int, { defaultValue: 0, description: "Events after this sequence; 0 is all." }) _after: number,
    @Ctx() context: Context,
  ): object {
    return tellEvent(event, context);
  }

  @FieldResolver(() => PruningRun, { description: "The run as it is now." })
  run(@Root() { runId }: PruningEvent, @Ctx() { loaders }: Context): Promise<RunRecord | null> {
    return loaders.runs.load(runId);
  }
}

@Resolver(() => PruningSucceeded)
export class PruningSucceededResolver {
  @FieldResolver(() => Model, { description: "The pruned model." })
  resultModel(@Root() { modelId }: { readonly modelId: string }, @Ctx() { loaders }: Context): Promise<ModelRecord | null> {
    return loaders.models.load(modelId);
  }
}
