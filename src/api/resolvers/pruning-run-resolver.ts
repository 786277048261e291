import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, Query, Resolver, Root } from "type-graphql";
import { methods } from "../../pruning/methods/index.ts";
import { startPruning } from "../../services/start-pruning.ts";
import { blaming } from "../../services/validate.ts";
import type { PruningRunRecord } from "../../store/pruning-runs.ts";
import { listRuns, type RunRecord, type RunStatus } from "../../store/runs.ts";
import { type ScoreOrder, type StructureScore as ScoreRecord, scoreCursor } from "../../store/scores.ts";
import type { StructureKind } from "../../structures/structure.ts";
import { listCost, pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { runStatusEnum, scoreOrderEnum, structureKindEnum } from "../enums.ts";
import { Needs } from "../needs.ts";
import { chosenOf } from "../one-of.ts";
import { type Connection, connect, PageArgs, pageRequest, ScorePageArgs } from "../types/connection.ts";
import {
  PruningIteration,
  PruningMethodInfo,
  PruningRun,
  PruningRunConnection,
  StartPruningInput,
  StartPruningPayload,
  StructureScoreConnection,
} from "../types/pruning-run.ts";

@InputType({ description: "Which pruning runs to list." })
class PruningRunFilter {
  @Field(() => ID, { nullable: true, description: "Those that prune this model." })
  readonly modelId?: string | null;

  @Field(() => runStatusEnum, { nullable: true, description: "Those that stand here." })
  readonly status?: RunStatus | null;
}

@InputType({ description: "Which scores to list." })
class StructureScoreFilter {
  @Field(() => [Int], { nullable: true, description: "Those of these iterations." })
  readonly iterations?: number[] | null;

  @Field(() => [structureKindEnum], { nullable: true, description: "Those of these kinds of structure." })
  readonly kinds?: StructureKind[] | null;
}

const byId = ({ id }: { readonly id: string }): string => id;

@Resolver(() => PruningRun)
export class PruningRunResolver {
  @Needs("READ")
  @Query(() => PruningRun, { nullable: true, description: "A pruning run; null if there is none." })
  async pruningRun(
    @Arg("id", () => ID, { description: "Its identity." }) id: string,
    @Ctx() { loaders }: Context,
  ): Promise<RunRecord | null> {
    const run = await loaders.runs.load(id);
    return run?.kind === "PRUNING" ? run : null;
  }

  @Needs("READ")
  @Query(() => PruningRunConnection, { description: "Pruning runs, newest first.", complexity: pageCost })
  async pruningRuns(
    @Args(() => PageArgs) page: PageArgs,
    @Arg("filter", () => PruningRunFilter, { defaultValue: {}, description: "Which ones." }) { modelId, status }: PruningRunFilter,
    @Ctx() { store }: Context,
  ): Promise<Connection<PruningRunRecord>> {
    const filter = { kinds: ["PRUNING"] as const, modelId: modelId ?? undefined, statuses: status == null ? undefined : [status] };
    return connect(await blaming("after", listRuns(store.prisma, pageRequest(page), filter)), byId);
  }

  @Needs("READ")
  @Query(() => [PruningMethodInfo], { description: "The ways of scoring structures." })
  pruningMethods(): readonly PruningMethodInfo[] {
    return methods.map(({ name, description, kinds, perturbs = false }) => ({ name, description, kinds, perturbs }));
  }

  @Needs("PRUNE")
  @Mutation(() => StartPruningPayload, { description: "Starts a pruning run. It waits for a worker; `runProgress` tells how it goes." })
  async startPruning(
    @Arg("input", () => StartPruningInput, { description: "What to prune, and how." }) input: StartPruningInput,
    @Ctx() context: Context,
  ): Promise<{ run: PruningRunRecord }> {
    const { perturbation, uniform, ...rest } = input.options;
    const options = { ...rest, perturbation: { ...perturbation }, uniform: uniform && { ...uniform } };
    const request = { ...input, subject: chosenOf(input.subject), dataset: chosenOf(input.dataset), options };
    return { run: await startPruning(context, request, context.caller.token?.id ?? null) };
  }

  @FieldResolver(() => PruningRun, { nullable: true, description: "The run whose iterations it began with." })
  from(@Root() { fromRunId }: RunRecord, @Ctx() { loaders }: Context): Promise<RunRecord | null> | null {
    return fromRunId === null ? null : loaders.runs.load(fromRunId);
  }

  @FieldResolver(() => [PruningIteration], { description: "What it has done so far, in order.", complexity: listCost })
  iterations(@Root() { id }: RunRecord, @Ctx() { loaders }: Context): Promise<readonly PruningIteration[]> {
    return loaders.iterations.load(id);
  }

  @FieldResolver(() => StructureScoreConnection, {
    description: "The scores that structures had, of every iteration: up to 1,000 a page.",
    complexity: pageCost,
  })
  scores(
    @Root() { id }: RunRecord,
    @Args(() => ScorePageArgs) page: ScorePageArgs,
    @Arg("filter", () => StructureScoreFilter, { defaultValue: {}, description: "Which ones." }) filter: StructureScoreFilter,
    @Arg("orderBy", () => scoreOrderEnum, { defaultValue: "POSITION", description: "In which order." }) orderBy: ScoreOrder,
    @Ctx() { loaders }: Context,
  ): Promise<Connection<ScoreRecord>> {
    return scorePage(loaders, id, page, filter, orderBy);
  }
}

async function scorePage(
  loaders: Context["loaders"],
  runId: string,
  page: ScorePageArgs,
  { iterations, kinds }: StructureScoreFilter,
  order: ScoreOrder,
): Promise<Connection<ScoreRecord>> {
  const filter = { iterations: iterations ?? undefined, kinds: kinds ?? undefined };
  const found = loaders.scores(runId, { page: pageRequest(page), order, filter });
  return connect(await blaming("after", found), (score) => scoreCursor(score, order));
}
