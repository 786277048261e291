import { Ctx, FieldResolver, Query, Resolver, Root } from "type-graphql";
import type { RunRecord } from "../../store/runs.ts";
import { listWorkers, type WorkerRecord } from "../../store/workers.ts";
import { listCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { Run } from "../types/run.ts";
import { Worker } from "../types/worker.ts";

@Resolver(() => Worker)
export class WorkerResolver {
  @Needs("READ")
  @Query(() => [Worker], {
    description:
      "The workers that live, the oldest first. One that was killed is listed for some 20 seconds more. `changes` tells of those that come and go.",
    complexity: listCost,
  })
  workers(@Ctx() { store }: Context): Promise<WorkerRecord[]> {
    return listWorkers(store.prisma);
  }

  @FieldResolver(() => [Run], { description: "What it does now.", complexity: listCost })
  async runs(@Root() { runIds }: WorkerRecord, @Ctx() { loaders }: Context): Promise<RunRecord[]> {
    const runs = await Promise.all(runIds.map((id) => loaders.runs.load(id)));
    // One that it is about to begin waits yet: that is the last that is told of the worker until it is done.
    return runs.filter((run) => run?.finishedAt === null) as RunRecord[];
  }
}
