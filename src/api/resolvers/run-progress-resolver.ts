import { Arg, Ctx, FieldResolver, ID, Int, Resolver, Root, Subscription } from "type-graphql";
import { blaming, requireAll } from "../../rules/validate.ts";
import type { StoredEvent } from "../../store/events.ts";
import type { ModelRecord } from "../../store/models.ts";
import { removedAtOnce } from "../../store/removed.ts";
import { followRun } from "../../store/run-feed.ts";
import { getRun, type RunKind, type RunRecord } from "../../store/runs.ts";
import { cancellable } from "../cancellable.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { Model } from "../types/model.ts";
import { PruningIterationCompleted, PruningSucceeded } from "../types/pruning-event.ts";
import { RemovedStructure, removedInShort } from "../types/pruning-run.ts";
import { Run } from "../types/run.ts";
import { RunEvent } from "../types/run-event.ts";

interface ProgressArgs {
  readonly runId: string;
  readonly after: number;
}

/** An event, and the kind of run that it is of. */
type EventOfKind = StoredEvent & { readonly kind: RunKind };

@Resolver(() => RunEvent)
export class RunProgressResolver {
  @Needs("READ")
  @Subscription(() => RunEvent, {
    description:
      "What happens in a run: its events after `after`, those there are and then those to come, each once and in order. It completes after the run's last event. A client that was cut off passes the last `sequence` it saw and misses nothing.",
    subscribe: async ({ args: { runId, after }, context: { store } }: { args: ProgressArgs; context: Context }) => {
      requireAll([["after", after >= 0, "must not be negative"]]);
      const run = await blaming("runId", getRun(store.prisma, runId));
      return cancellable(async function* (signal): AsyncGenerator<EventOfKind, void> {
        for await (const event of followRun(store, run.id, after, signal)) yield { ...event, kind: run.kind };
      });
    },
  })
  runProgress(
    @Root() { runId, sequence, kind, type, payload, createdAt }: EventOfKind,
    @Arg("runId", () => ID, { description: "The run, of any kind." }) _runId: string,
    @Arg("after", () => Int, { defaultValue: 0, description: "Events after this sequence; 0 is all." }) _after: number,
    @Ctx() context: Context,
  ): object {
    // The subscription has come so far.
    context.progress = { runId, sequence };
    // Kind and type go along for the interface to tell its implementations apart.
    const event = { runId, sequence, kind, type, createdAt };
    return type === "FAILED" ? { ...event, error: payload } : { ...event, ...payload };
  }

  @FieldResolver(() => Run, { description: "The run as it is now." })
  run(@Root() { runId }: RunEvent, @Ctx() { loaders }: Context): Promise<RunRecord | null> {
    return loaders.runs.load(runId);
  }
}

/** As events keep it; old ones have all that was removed, and no count. */
interface StoredRemoval {
  readonly removed: readonly RemovedStructure[];
  readonly removedCount?: number;
}

@Resolver(() => PruningIterationCompleted)
export class PruningIterationCompletedResolver {
  @FieldResolver(() => Int, { description: "How many structures were removed." })
  removedCount(@Root() { removed, removedCount }: StoredRemoval): number {
    return removedCount ?? removed.length;
  }

  @FieldResolver(() => [RemovedStructure], { description: removedInShort })
  removed(@Root() { removed }: StoredRemoval): readonly RemovedStructure[] {
    return removed.slice(0, removedAtOnce);
  }
}

@Resolver(() => PruningSucceeded)
export class PruningSucceededResolver {
  @FieldResolver(() => Model, { description: "The pruned model." })
  resultModel(@Root() { modelId }: { readonly modelId: string }, @Ctx() { loaders }: Context): Promise<ModelRecord | null> {
    return loaders.models.load(modelId);
  }
}
