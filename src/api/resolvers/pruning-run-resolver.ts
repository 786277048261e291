import { GraphQLBigInt } from "graphql-scalars";
import { Arg, Args, Ctx, Field, FieldResolver, Float, ID, InputType, Int, Mutation, Query, Resolver, Root } from "type-graphql";
import { EspalierError } from "../../errors.ts";
import { standsOf } from "../../jobs/run-kinds.ts";
import { methodNamed, methods } from "../../pruning/methods/index.ts";
import { normalizationOf } from "../../pruning/methods/method.ts";
import { type PruningOptions, prunesParts } from "../../pruning/options.ts";
import { requireAlike, sharedIterations } from "../../services/shared-iterations.ts";
import { getModel, type ModelRecord } from "../../store/models.ts";
import { createPruningRun, type NewPruningRun, type PruningRunRecord, runIterations } from "../../store/pruning-runs.ts";
import { earlierResult } from "../../store/request-keys.ts";
import { cancelRun, getRun, listRuns, type RunRecord, type RunStatus, resumeRun } from "../../store/runs.ts";
import { type ScoreOrder, type StructureScore as ScoreRecord, scoreCursor } from "../../store/scores.ts";
import type { StructureKind } from "../../structures/structure.ts";
import { listCost, pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { datasetFor } from "../dataset-input.ts";
import { jobStatusEnum, scoreOrderEnum, structureKindEnum } from "../enums.ts";
import type { Loaders } from "../loaders.ts";
import { Needs } from "../needs.ts";
import { runSubject } from "../run-subject.ts";
import { type Connection, connect, PageArgs, pageRequest, ScorePageArgs } from "../types/connection.ts";
import {
  PruningIteration,
  PruningMethodInfo,
  PruningRun,
  PruningRunConnection,
  StartPruningInput,
  StructureScoreConnection,
} from "../types/pruning-run.ts";
import { blaming, keyRule, type Requirement, requireAll } from "../validate.ts";

@InputType({ description: "Which pruning runs to list." })
class PruningRunFilter {
  @Field(() => ID, { nullable: true, description: "Those that prune this model." })
  readonly modelId?: string | null;

  @Field(() => jobStatusEnum, { nullable: true, description: "Those that stand here." })
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

const isFrom1 = (n: number, most: number): boolean => n >= 1 && n <= most;

function uniformRules(at: string, options: PruningOptions): Requirement[] {
  const { uniform, protectFirst, protectLast } = options;
  if (!uniform) return [];
  return [
    [`${at}.headMultiple`, isFrom1(uniform.headMultiple, 1024), "must be from 1 to 1,024"],
    [`${at}.channelMultiple`, isFrom1(uniform.channelMultiple, 65_536), "must be from 1 to 65,536"],
    [at, prunesParts(options), "is about HEAD and CHANNEL, and structureKinds names neither"],
    [at, protectFirst === 0 && protectLast === 0, "cannot be had while layers are protected: all layers keep equally many"],
  ];
}

/** What a run's options must be for a model. */
function optionRules(o: PruningOptions, { layers, contextLength }: ModelRecord["architecture"]): Requirement[] {
  const at = (name: string) => `input.options.${name}`;
  const longest = contextLength ?? 65_536;
  const free = layers - o.protectFirst - o.protectLast;
  return [
    [at("targetRatio"), o.targetRatio > 0 && o.targetRatio < 1, "must lie between 0 and 1, both excluded"],
    [at("structureKinds"), o.structureKinds.length > 0, "must name at least one kind"],
    [at("structureKinds"), new Set(o.structureKinds).size === o.structureKinds.length, "must name each kind once"],
    [
      at("structuresPerIteration"),
      o.structuresPerIteration > 0 && o.structuresPerIteration <= 1e6,
      "must be above 0 and no more than 1,000,000",
    ],
    [
      at("structuresPerIteration"),
      o.structuresPerIteration < 1 || Number.isInteger(o.structuresPerIteration),
      "must be a whole number, or a share below 1",
    ],
    [at("minKeepRatio"), o.minKeepRatio >= 0 && o.minKeepRatio < 1, "must be at least 0 and below 1"],
    ...uniformRules(at("uniform"), o),
    [at("samples"), o.samples >= 1 && o.samples <= 1024, "must be from 1 to 1024"],
    [
      at("sequenceLength"),
      o.sequenceLength >= 2 && o.sequenceLength <= longest,
      `must be from 2 to the model's context length, ${longest}`,
    ],
    [at("perturbation.rate"), o.perturbation.rate > 0 && o.perturbation.rate <= 1, "must be above 0 and no more than 1"],
    [at("protectFirst"), o.protectFirst >= 0, "must not be negative"],
    [at("protectLast"), o.protectLast >= 0, "must not be negative"],
    [at("protectFirst"), free > 0, `and protectLast must leave some of the model's ${layers} layers unprotected`],
  ];
}

/** Some models have no heads or channels that can go. */
async function requireStructures(modelId: string, { structureKinds }: PruningOptions, { structures }: Loaders): Promise<void> {
  const known = new Set((await structures.load(modelId)).map((s) => s.kind));
  requireAll(
    structureKinds.map(
      (kind): Requirement => [
        "input.options.structureKinds",
        known.has(kind),
        `names ${kind}, of which the model has none that can go; it has ${[...known].join(", ") || "none of any kind"}`,
      ],
    ),
  );
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

  @Needs("READ")
  @Query(() => StructureScoreConnection, {
    description: "The scores that structures had in a run, of every iteration: up to 1,000 a page.",
    complexity: pageCost,
  })
  async structureScores(
    @Arg("runId", () => ID, { description: "The run." }) runId: string,
    @Args(() => ScorePageArgs) page: ScorePageArgs,
    @Arg("filter", () => StructureScoreFilter, { defaultValue: {}, description: "Which ones." }) filter: StructureScoreFilter,
    @Arg("orderBy", () => scoreOrderEnum, { defaultValue: "POSITION", description: "In which order." }) orderBy: ScoreOrder,
    @Ctx() { store, loaders }: Context,
  ): Promise<Connection<ScoreRecord>> {
    const { id } = await blaming("runId", getRun(store.prisma, runId, "PRUNING"));
    return scorePage(loaders, id, page, filter, orderBy);
  }

  @Needs("PRUNE")
  @Mutation(() => PruningRun, { description: "Starts a pruning run. It waits for a worker; `pruningProgress` tells how it goes." })
  async startPruning(
    @Arg("input", () => StartPruningInput, { description: "What to prune, and how." }) input: StartPruningInput,
    @Ctx() context: Context,
  ): Promise<PruningRunRecord> {
    const { store, queue, loaders } = context;
    const { subject, argument, model } = await runSubject(store, input);
    if (model.pruningObstacle) {
      const { code, message } = model.pruningObstacle;
      throw new EspalierError(code, message, { argument });
    }
    const { perturbation, uniform, ...rest } = input.options;
    const { method, priority, idempotencyKey: key } = input;
    const chosen = methodNamed(method);
    const normalization = rest.normalization ?? normalizationOf(chosen);
    const options: PruningOptions = { ...rest, normalization, perturbation: { ...perturbation }, uniform: uniform && { ...uniform } };
    requireAll([
      ...optionRules(options, model.architecture),
      [
        "input.options.structureKinds",
        options.structureKinds.every((kind) => chosen.kinds.includes(kind)),
        `must be of those that ${method} can score: ${chosen.kinds.join(", ")}`,
      ],
      [
        "input.options.normalization",
        !chosen.among || normalization === "NONE",
        `must be NONE or left out: scores of ${method} are distances from a mean, which dividing would put in another order`,
      ],
      ["input.priority", Math.abs(priority) <= 100, "must be from -100 to 100"],
      [
        "input.from",
        input.from == null || input.of == null,
        "cannot be had with `of`: another run's iterations are of a model that is there",
      ],
      keyRule(key),
    ]);
    await requireStructures(model.id, options, loaders);
    const dataset = await datasetFor(context, "input.dataset", input.dataset);
    requireAll([["input.dataset", dataset.form === "TEXT", "must be of texts; it has items with choices"]]);
    const runOf = (datasetId: string) => ({ ...subject, method, options, datasetId, priority });
    const owner = context.caller.token?.id ?? null;
    const keyed = (run: NewPruningRun) =>
      key == null ? undefined : { operation: "startPruning", owner, key, request: { ...run, from: input.from ?? null } };
    // A dataset that is not stored yet is that of no earlier request and of no other run.
    const asked = runOf(dataset.id ?? "");
    const known = keyed(asked);
    if (known) await earlierResult(store.prisma, known);
    const from = input.from == null ? undefined : await beginning(store, asked, input.from);
    const run = runOf((await dataset.keep()).id);
    return createPruningRun(store, { ...run, from }, queue.addRun, keyed(run));
  }

  @Needs("PRUNE")
  @Mutation(() => PruningRun, {
    description: "Puts a run that was cancelled or failed back into the queue: it goes on after the iterations it has stored.",
  })
  async resumePruning(@Arg("id", () => ID, { description: "The run." }) id: string, @Ctx() { store, queue }: Context): Promise<RunRecord> {
    await blaming("id", getRun(store.prisma, id, "PRUNING"));
    return blaming("id", resumeRun(store, id, standsOf, queue.addRun));
  }

  @Needs("PRUNE")
  @Mutation(() => PruningRun, { description: "Ends a pruning run that is not over. What it has recorded stays." })
  async cancelPruning(@Arg("id", () => ID, { description: "The run." }) id: string, @Ctx() { store }: Context): Promise<RunRecord> {
    await blaming("id", getRun(store.prisma, id, "PRUNING"));
    return blaming("id", cancelRun(store, id));
  }

  @FieldResolver(() => GraphQLBigInt, {
    nullable: true,
    description: "Parameters of the base model; null while the run waits for the result of another.",
  })
  async parameterCount(@Root() { modelId }: RunRecord, @Ctx() { loaders }: Context): Promise<number | undefined> {
    return modelId === null ? undefined : (await loaders.models.load(modelId))?.parameterCount;
  }

  @FieldResolver(() => PruningRun, { nullable: true, description: "The run whose iterations it began with." })
  from(@Root() { fromRunId }: RunRecord, @Ctx() { loaders }: Context): Promise<RunRecord | null> | null {
    return fromRunId === null ? null : loaders.runs.load(fromRunId);
  }

  @FieldResolver(() => Float, { description: "Share of the base model's parameters that it was asked to remove, 0 to 1." })
  targetRatio(@Root() { options }: PruningRunRecord): number {
    return options.targetRatio;
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

/**
 * The iterations that a new run can take over from another.
 *
 * @throws EspalierError RUN_NOT_FOUND; BAD_USER_INPUT naming what differs
 */
async function beginning({ prisma }: Context["store"], run: NewPruningRun, fromId: string): Promise<NewPruningRun["from"]> {
  const from = await blaming("input.from", getRun(prisma, fromId, "PRUNING"));
  requireAlike(run, from);
  const { parameterCount } = await getModel(prisma, from.modelId ?? "");
  return { run: from, iterations: sharedIterations(from, parameterCount, await runIterations(prisma, from.id), run.options.targetRatio) };
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
