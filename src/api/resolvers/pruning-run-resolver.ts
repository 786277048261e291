import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, Query, Resolver, Root } from "type-graphql";
import { methods } from "../../pruning/methods/index.ts";
import { requireAll } from "../../rules/validate.ts";
import { planPruning } from "../../services/plan-pruning.ts";
import { type PruningRequest, startPruning } from "../../services/start-pruning.ts";
import type { PruningRunRecord } from "../../store/pruning-runs.ts";
import { listRemoved } from "../../store/removed.ts";
import { listRuns, type RunOrder, type RunRecord } from "../../store/runs.ts";
import { type ScoreOrder, type StructureScore as ScoreRecord } from "../../store/scores.ts";
import { type StructureMap as MapRecord, structureMap } from "../../store/structure-map.ts";
import type { StructureKind } from "../../structures/structure.ts";
import { listCost, pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { pruningMethodEnum, runOrderEnum, scoreOrderEnum, structureKindEnum } from "../enums.ts";
import { given } from "../given.ts";
import { Needs } from "../needs.ts";
import { chosenOf } from "../one-of.ts";
import { type Connection, connectionOf, PageArgs, ScorePageArgs } from "../types/connection.ts";
import { PruningPlan } from "../types/pruning-plan.ts";
import {
  PruningIteration,
  PruningMethodInfo,
  PruningRun,
  PruningRunConnection,
  type RemovedStructure,
  RemovedStructureConnection,
  StartPruningInput,
  StartPruningPayload,
  StructureMap,
  StructureScoreConnection,
} from "../types/pruning-run.ts";
import { AnyRunFilter } from "../types/run.ts";

/** Of a layer's row in a map. */
const mostCells = 512;

/** A map reads all scores of its iteration. */
const mapCost = 500;

/** A plan reads all structures of its model, and may read a dataset. */
const planCost = 200;

function requestOf(input: StartPruningInput): PruningRequest {
  const { perturbation, uniform, ...rest } = input.options;
  const options = { ...rest, perturbation: { ...perturbation }, uniform: uniform && { ...uniform } };
  return { ...input, subject: chosenOf(input.subject), dataset: chosenOf(input.dataset), options };
}

@InputType({ description: "Which pruning runs to list." })
class PruningRunFilter extends AnyRunFilter {
  @Field(() => [pruningMethodEnum], { nullable: true, description: "Those that score in one of these ways." })
  readonly methods?: string[] | null;
}

@InputType({ description: "Which scores to list." })
class StructureScoreFilter {
  @Field(() => [Int], { nullable: true, description: "Those of these iterations." })
  readonly iterations?: number[] | null;

  @Field(() => [structureKindEnum], { nullable: true, description: "Those of these kinds of structure." })
  readonly kinds?: StructureKind[] | null;
}

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
  @Query(() => PruningRunConnection, { description: "Pruning runs.", complexity: pageCost })
  async pruningRuns(
    @Args(() => PageArgs) page: PageArgs,
    @Arg("filter", () => PruningRunFilter, { defaultValue: {}, description: "Which ones." }) filter: PruningRunFilter,
    @Arg("orderBy", () => runOrderEnum, { defaultValue: "NEWEST_FIRST", description: "In which order." }) orderBy: RunOrder,
    @Ctx() { store }: Context,
  ): Promise<Connection<PruningRunRecord>> {
    return connectionOf(page, (request) => listRuns(store.prisma, request, { ...given(filter), kinds: ["PRUNING"] as const }, orderBy));
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
    return { run: await startPruning(context, requestOf(input), context.caller.token?.id ?? null) };
  }

  @Needs("PRUNE")
  @Query(() => PruningPlan, {
    description:
      "What `startPruning` would do with the same input, which is checked in the same way. Nothing is started or stored. It is reckoned from counts and from earlier runs: which structures go is known when they have scores.",
    complexity: ({ childComplexity }) => planCost + childComplexity,
  })
  pruningPlan(
    @Arg("input", () => StartPruningInput, { description: "What to prune, and how." }) input: StartPruningInput,
    @Ctx() context: Context,
  ): Promise<PruningPlan> {
    return planPruning(context, requestOf(input), context.caller.token?.id ?? null);
  }

  @FieldResolver(() => PruningRun, { nullable: true, description: "The run whose iterations it began with." })
  from(@Root() { fromRunId }: RunRecord, @Ctx() { loaders }: Context): Promise<RunRecord | null> | null {
    return fromRunId === null ? null : loaders.runs.load(fromRunId);
  }

  @FieldResolver(() => [PruningIteration], { description: "What it has done so far, in order.", complexity: listCost })
  iterations(@Root() { id }: RunRecord, @Ctx() { loaders }: Context): Promise<readonly PruningIteration[]> {
    return loaders.iterations.load(id);
  }

  @FieldResolver(() => RemovedStructureConnection, {
    description: "What an iteration removed, in the order in which it was taken: up to 1,000 a page.",
    complexity: pageCost,
  })
  removed(
    @Root() { id }: RunRecord,
    @Arg("iteration", () => Int, { description: "The iteration, from 0." }) iteration: number,
    @Args(() => ScorePageArgs) page: ScorePageArgs,
    @Ctx() { store }: Context,
  ): Promise<Connection<RemovedStructure>> {
    return connectionOf(page, (request) => listRemoved(store.prisma, id, iteration, request));
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
    return connectionOf(page, (request) => loaders.scores(id, { page: request, order: orderBy, filter: given(filter) }));
  }
  @FieldResolver(() => StructureMap, {
    nullable: true,
    description:
      "The scores of one iteration as a map, however many structures there are. Null if there is no such iteration, or while the run waits for the result of another.",
    complexity: ({ childComplexity }) => mapCost + childComplexity,
  })
  structureMap(
    @Root() { id, modelId }: RunRecord,
    @Arg("kind", () => structureKindEnum, { description: "Which structures." }) kind: StructureKind,
    @Arg("iteration", () => Int, { nullable: true, description: "The iteration, from 0. Without it, the newest." })
    iteration: number | null | undefined,
    @Arg("cells", () => Int, { defaultValue: 128, description: `Cells of a layer at most, 1 to ${mostCells}.` }) cells: number,
    @Ctx() { store }: Context,
  ): Promise<MapRecord | null> | null {
    requireAll([
      ["cells", cells >= 1 && cells <= mostCells, `must be from 1 to ${mostCells}`],
      ["iteration", iteration == null || iteration >= 0, "must be 0 or more"],
    ]);
    return modelId === null ? null : structureMap(store.prisma, { id, modelId }, { kind, iteration: iteration ?? null, cells });
  }
}
