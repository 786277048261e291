import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, Query, Resolver, Root } from "type-graphql";
import type { ModelTask } from "../../model-task.ts";
import { blaming, requireAll } from "../../rules/validate.ts";
import { chatTemplateOf } from "../../services/chat-template-of.ts";
import { deleteModel } from "../../services/delete-model.ts";
import { archiveUrl, fileUrl } from "../../services/published-models.ts";
import { registerModel } from "../../services/register-model.ts";
import { updateModel } from "../../services/update-model.ts";
import type { ExportRecord } from "../../store/exports.ts";
import { ancestors, descendants } from "../../store/lineage.ts";
import { getModel, listModels, type ModelOrder, type ModelRecord, noModel, taskOfModel } from "../../store/models.ts";
import { repositoryOf } from "../../store/repository-names.ts";
import type { RunOrder } from "../../store/runs.ts";
import { structuresLeft } from "../../store/structures-left.ts";
import type { StructureKind } from "../../structures/structure.ts";
import { listCost, pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { modelOrderEnum, modelTaskEnum, runOrderEnum, structureKindEnum } from "../enums.ts";
import { given } from "../given.ts";
import { longestLine } from "../loaders.ts";
import { Needs } from "../needs.ts";
import { originOf } from "../origin-of.ts";
import { AgeFilter } from "../types/age-filter.ts";
import { type Connection, connectionOf, PageArgs } from "../types/connection.ts";
import { EvaluationConnection } from "../types/evaluation.ts";
import { ModelExport } from "../types/export.ts";
import { Lineage, Model, ModelConnection, ModelFile, OperatorCount, StructureGroup, StructuresLeft } from "../types/model.ts";
import {
  DeleteModelInput,
  DeleteModelPayload,
  RegisterModelInput,
  RegisterModelPayload,
  UpdateModelInput,
  UpdateModelPayload,
} from "../types/model-changes.ts";
import { PruningRunConnection } from "../types/pruning-run.ts";
import { Run } from "../types/run.ts";

@InputType({ description: "Which models to list." })
class ModelFilter extends AgeFilter {
  @Field(() => String, { nullable: true, description: "Those whose name has this in it, in any case." })
  readonly name?: string | null;

  @Field(() => ID, { nullable: true, description: "The children of this model." })
  readonly parentId?: string | null;

  @Field(() => Boolean, { nullable: true, description: "Whether they have no parent: those that were registered, not made." })
  readonly root?: boolean | null;

  @Field(() => [String], { nullable: true, description: "Those that are filed under all of these." })
  readonly tags?: string[] | null;
}

/** Descendants that a lineage gives at most. */
const largestFamily = 500;

@Resolver(() => Model)
export class ModelResolver {
  @Needs("READ")
  @Query(() => ModelConnection, { description: "Models.", complexity: pageCost })
  models(
    @Args(() => PageArgs) page: PageArgs,
    @Arg("filter", () => ModelFilter, { defaultValue: {}, description: "Which ones." }) filter: ModelFilter,
    @Arg("orderBy", () => modelOrderEnum, { defaultValue: "NEWEST_FIRST", description: "In which order." }) orderBy: ModelOrder,
    @Ctx() { store }: Context,
  ): Promise<Connection<ModelRecord>> {
    return connectionOf(page, (request) => listModels(store.prisma, request, given(filter), orderBy));
  }

  @Needs("READ")
  @Query(() => Model, { nullable: true, description: "A model; null if there is none." })
  model(@Arg("id", () => ID, { description: "Its identity." }) id: string, @Ctx() { loaders }: Context): Promise<ModelRecord | null> {
    return loaders.models.load(id);
  }

  @Needs("READ")
  @Query(() => Lineage, { description: "A model's family: what it came from and what came from it.", complexity: listCost })
  async lineage(
    @Arg("modelId", () => ID, { description: "The model." }) modelId: string,
    @Arg("depth", () => Int, { defaultValue: 10, description: "Generations to go up and down, 0 to 100." }) depth: number,
    @Ctx() { store }: Context,
  ): Promise<Lineage> {
    requireAll([["depth", depth >= 0 && depth <= 100, "must be from 0 to 100"]]);
    const model = await blaming("modelId", getModel(store.prisma, modelId));
    const up = await ancestors(store.prisma, model.id, depth);
    const down = await descendants(store.prisma, model.id, depth, largestFamily + 1);
    const relatives = [...up.toReversed(), { model }, ...down.slice(0, largestFamily)];
    const nodes = relatives.map((relative) => relative.model);
    const known = new Map(nodes.map((node) => [node.id, node]));
    const edges = nodes.flatMap((child) => {
      const parent = known.get(child.parentId ?? "");
      return parent ? [{ parent, child }] : [];
    });
    return Object.assign(new Lineage(), { nodes, edges, truncated: down.length > largestFamily });
  }

  @Needs("PRUNE")
  @Mutation(() => RegisterModelPayload, {
    description:
      "Registers a model of up to 1 GiB at once: reads it, checks that it can be pruned and served, and copies it into the artifact store. The same bytes registered twice are one model, under its first name. `startImport` does the same as a run, for a model of any size.",
  })
  async registerModel(
    @Arg("input", () => RegisterModelInput, { description: "Which model." }) { source, path, name, idempotencyKey }: RegisterModelInput,
    @Ctx() context: Context,
  ): Promise<{ model: ModelRecord }> {
    requireAll([
      ["input.source", (source == null) !== (path == null), "must be given, and `path`, which it takes the place of, not with it"],
    ]);
    const from = source ? originOf(source) : ({ kind: "PATH", path: path ?? "" } as const);
    const given = source ? ("input.source" as const) : ("input" as const);
    const request = { from, given, name: name ?? null, idempotencyKey: idempotencyKey ?? null };
    return { model: await registerModel(context, request, context.caller, context.signal) };
  }

  @Needs("PRUNE")
  @Mutation(() => UpdateModelPayload, { description: "Changes what is said of a model: its name, its note, its tags. Its files stay." })
  async updateModel(
    @Arg("input", () => UpdateModelInput, { description: "What to say, and of which." }) { id, ...changes }: UpdateModelInput,
    @Ctx() { store }: Context,
  ): Promise<{ model: ModelRecord }> {
    return { model: await updateModel(store, id, given(changes)) };
  }

  @Needs("PRUNE")
  @Mutation(() => DeleteModelPayload, {
    description:
      "Deletes a model with its runs and measurements, and those of its files that no other model has. A model that others were made from is kept, unless they are to stay without a parent.",
  })
  async deleteModel(
    @Arg("input", () => DeleteModelInput, { description: "Which model." }) { id, keepDescendants }: DeleteModelInput,
    @Ctx() services: Context,
  ): Promise<DeleteModelPayload> {
    await blaming("input.id", deleteModel(services, id, keepDescendants));
    return { deletedId: id };
  }

  @FieldResolver(() => modelTaskEnum, { description: "What it is for, told by what it does." })
  task(@Root() model: ModelRecord): ModelTask {
    return taskOfModel(model);
  }

  @FieldResolver(() => [OperatorCount], { description: "The operators of its graph, most frequent first.", complexity: listCost })
  operators(@Root() { operators }: ModelRecord): OperatorCount[] {
    const counts = Object.entries(operators).map(([operator, count]) => ({ operator, count }));
    return counts.sort((a, b) => b.count - a.count || (a.operator < b.operator ? -1 : 1));
  }

  @FieldResolver(() => [StructureGroup], {
    description: "Its parts that can be removed, by kind and position; alike parts of a layer together.",
    complexity: listCost,
  })
  async structures(
    @Root() { id }: ModelRecord,
    @Arg("kinds", () => [structureKindEnum], { nullable: true, description: "Those of these kinds only." }) kinds: StructureKind[] | null,
    @Ctx() { loaders }: Context,
  ): Promise<readonly StructureGroup[]> {
    const structures = await loaders.structures.load(id);
    return kinds ? structures.filter((structure) => kinds.includes(structure.kind)) : structures;
  }

  @FieldResolver(() => [StructuresLeft], {
    nullable: true,
    description:
      "What it still has of another model's structures, by kind and layer of that one: of an ancestor, what was pruned since. Weights are known again by their names; null where those do not tell.",
    complexity: listCost,
  })
  async structuresLeft(
    @Root() { id }: ModelRecord,
    @Arg("of", () => ID, { description: "The other model." }) of: string,
    @Ctx() { loaders }: Context,
  ): Promise<readonly StructuresLeft[] | null> {
    const other = await blaming(
      "of",
      loaders.models.load(of).then((model) => model ?? noModel(of)),
    );
    const [theirs, own] = await Promise.all([loaders.structures.load(other.id), loaders.structures.load(id)]);
    return structuresLeft(theirs, own);
  }

  @FieldResolver(() => [ModelFile], { description: "Its files, by path.", complexity: listCost })
  async files(@Root() model: ModelRecord, @Ctx() { loaders }: Context): Promise<readonly ModelFile[]> {
    const files = await loaders.files.load(model.id);
    return files.map((file) => ({ ...file, url: fileUrl(model, file) }));
  }

  @FieldResolver(() => String, {
    nullable: true,
    description: "How it writes a conversation before it answers, as a template in Jinja. Null if it has none.",
    complexity: 10,
  })
  async chatTemplate(@Root() { id }: ModelRecord, @Ctx() { loaders, dataDirectory }: Context): Promise<string | null> {
    return chatTemplateOf(dataDirectory, await loaders.files.load(id));
  }

  @FieldResolver(() => String, {
    description: "Its name as a repository: clients of the Hugging Face Hub whose `HF_ENDPOINT` is this server load it by that.",
  })
  repository(@Root() model: ModelRecord): string {
    return repositoryOf(model);
  }

  @FieldResolver(() => String, { description: "Where its folder is had over HTTP as a tar archive, from this server's own address on." })
  archiveUrl(@Root() model: ModelRecord): string {
    return archiveUrl(model);
  }

  @FieldResolver(() => [ModelExport], { description: "Formats it has been written in, oldest first.", complexity: listCost })
  exports(@Root() { id }: ModelRecord, @Ctx() { loaders }: Context): Promise<readonly ExportRecord[]> {
    return loaders.exportsOfModels.load(id);
  }

  @FieldResolver(() => Model, { nullable: true, description: "The model it was made from; null if it was registered." })
  parent(@Root() { parentId }: ModelRecord, @Ctx() { loaders }: Context): Promise<ModelRecord | null> | null {
    return parentId === null ? null : loaders.models.load(parentId);
  }

  @FieldResolver(() => [Model], {
    description: `What it came of: its parent, that one's parent and so on, the nearest first, ${longestLine} at most.`,
    complexity: listCost,
  })
  async ancestors(@Root() { id }: ModelRecord, @Ctx() { loaders }: Context): Promise<readonly ModelRecord[]> {
    return (await loaders.ancestors.load(id)).map(({ model }) => model);
  }

  @FieldResolver(() => Run, { nullable: true, description: "The run that made or imported it; null if it was registered at once." })
  producedBy(@Root() { id }: ModelRecord, @Ctx() { loaders }: Context) {
    return loaders.producingRuns.load(id);
  }

  @FieldResolver(() => ModelConnection, { description: "Models made from it.", complexity: pageCost })
  children(
    @Root() { id }: ModelRecord,
    @Args(() => PageArgs) page: PageArgs,
    @Arg("orderBy", () => modelOrderEnum, { defaultValue: "NEWEST_FIRST", description: "In which order." }) orderBy: ModelOrder,
    @Ctx() { loaders }: Context,
  ) {
    return connectionOf(page, (request) => loaders.children(id, request, orderBy));
  }

  @FieldResolver(() => PruningRunConnection, { description: "Runs that prune it.", complexity: pageCost })
  pruningRuns(
    @Root() { id }: ModelRecord,
    @Args(() => PageArgs) page: PageArgs,
    @Arg("orderBy", () => runOrderEnum, { defaultValue: "NEWEST_FIRST", description: "In which order." }) orderBy: RunOrder,
    @Ctx() { loaders }: Context,
  ) {
    return connectionOf(page, (request) => loaders.modelRuns(id, request, orderBy));
  }

  @FieldResolver(() => EvaluationConnection, { description: "Measurements of it.", complexity: pageCost })
  evaluations(
    @Root() { id }: ModelRecord,
    @Args(() => PageArgs) page: PageArgs,
    @Arg("orderBy", () => runOrderEnum, { defaultValue: "NEWEST_FIRST", description: "In which order." }) orderBy: RunOrder,
    @Ctx() { loaders }: Context,
  ) {
    return connectionOf(page, (request) => loaders.evaluations(id, request, orderBy));
  }
}
