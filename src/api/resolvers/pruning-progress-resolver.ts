import { Arg, Ctx, FieldResolver, ID, Int, Resolver, Root, Subscription } from "type-graphql";
import type { StoredEvent } from "../../store/events.ts";
import type { ModelRecord } from "../../store/models.ts";
import { followRun } from "../../store/run-feed.ts";
import { getRun, type RunRecord } from "../../store/runs.ts";
import { cancellable } from "../cancellable.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { Model } from "../types/model.ts";
import { PruningEvent, PruningSucceeded } from "../types/pruning-event.ts";
import { PruningRun } from "../types/pruning-run.ts";
import { blaming, requireAll } from "../validate.ts";

interface ProgressArgs {
  readonly runId: string;
  readonly after: number;
}

@Resolver(() => PruningEvent)
export class PruningProgressResolver {
  @Needs("READ")
  @Subscription(() => PruningEvent, {
    description:
      "What happens in a run: its events after `after`, those there are and then those to come, each once and in order. It completes after the run's last event. A client that was cut off passes the last `sequence` it saw and misses nothing.",
    subscribe: async ({ args, context: { store } }: { args: ProgressArgs; context: Context }) => {
      const { runId, after } = args;
      requireAll([["after", after >= 0, "must not be negative"]]);
      const { id } = await blaming("runId", getRun(store.prisma, runId, "PRUNING"));
      return cancellable((signal) => followRun(store, id, after, signal));
    },
  })
  pruningProgress(
    @Root() { runId, sequence, type, payload, createdAt }: StoredEvent<"PRUNING">,
    @Arg("runId", () => ID, { description: "The run." }) _runId: string,
    @Arg("after", () => Int, { defaultValue: 0, description: "Events after this sequence; 0 is all." }) _after: number,
    @Ctx() context: Context,
  ): object {
    context.progress = { runId, sequence };
    // The type goes along for the interface to tell its implementations apart.
    const event = { runId, sequence, type, createdAt };
    return type === "FAILED" ? { ...event, error: payload } : { ...event, ...payload };
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
