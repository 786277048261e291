import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, Query, Resolver, Root } from "type-graphql";
import { requireAll } from "../../rules/validate.ts";
import { type DatasetExcerpt, datasetRecords, mostExcerpts } from "../../services/dataset-records.ts";
import { deleteDataset } from "../../services/delete-dataset.ts";
import { datasetOf, registerDataset } from "../../services/register-dataset.ts";
import { type DatasetOrigin, originOfDataset, updateDataset } from "../../services/update-dataset.ts";
import { type DatasetOrder, type DatasetRecord, findDataset, listDatasets } from "../../store/datasets.ts";
import type { DatasetForm } from "../../text/dataset-content.ts";
import { datasets } from "../../text/datasets.ts";
import { type CostArguments, pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { datasetFormEnum, datasetOrderEnum, datasetOriginEnum } from "../enums.ts";
import { given } from "../given.ts";
import { Needs } from "../needs.ts";
import { chosenOf } from "../one-of.ts";
import { AgeFilter } from "../types/age-filter.ts";
import { type Connection, connectionOf, PageArgs } from "../types/connection.ts";
import {
  Dataset,
  DatasetConnection,
  DatasetRecordExcerpt,
  DeleteDatasetInput,
  DeleteDatasetPayload,
  RegisterDatasetInput,
  RegisterDatasetPayload,
  UpdateDatasetInput,
  UpdateDatasetPayload,
} from "../types/dataset.ts";

@InputType({ description: "Which datasets to list." })
class DatasetFilter extends AgeFilter {
  @Field(() => String, { nullable: true, description: "Those whose name has this in it, in any case." })
  readonly name?: string | null;

  @Field(() => datasetFormEnum, { nullable: true, description: "Those whose records are of this form." })
  readonly form?: DatasetForm | null;

  @Field(() => [String], { nullable: true, description: "Those that are filed under all of these." })
  readonly tags?: string[] | null;
}

/** A file is read from its beginning, which costs as much as some lists. */
const recordsCost = ({ args, childComplexity }: CostArguments): number => 500 + Number(args["count"]) * childComplexity;

@Resolver(() => Dataset)
export class DatasetResolver {
  @Needs("READ")
  @Query(() => Dataset, { nullable: true, description: "A dataset; null if there is none." })
  dataset(@Arg("id", () => ID, { description: "Its identity." }) id: string, @Ctx() { store }: Context): Promise<DatasetRecord | null> {
    return findDataset(store.prisma, { id });
  }

  @Needs("READ")
  @Query(() => DatasetConnection, {
    description: "Datasets that have names: those that come with the server and those that were registered.",
    complexity: pageCost,
  })
  async datasets(
    @Args(() => PageArgs) page: PageArgs,
    @Arg("filter", () => DatasetFilter, { defaultValue: {}, description: "Which ones." }) filter: DatasetFilter,
    @Arg("orderBy", () => datasetOrderEnum, { defaultValue: "NEWEST_FIRST", description: "In which order." }) orderBy: DatasetOrder,
    @Ctx() context: Context,
  ): Promise<Connection<DatasetRecord>> {
    for (const { name } of datasets) await (await datasetOf(context, { name })).keep();
    return connectionOf(page, (request) => listDatasets(context.store.prisma, request, given(filter), orderBy));
  }

  @Needs("PRUNE")
  @Mutation(() => RegisterDatasetPayload, {
    description:
      "Registers a dataset: reads it, checks it and keeps its records. The same records registered twice are one dataset, under its first name.",
  })
  async registerDataset(
    @Arg("input", () => RegisterDatasetInput, { description: "Which dataset." }) { name, description, source }: RegisterDatasetInput,
    @Ctx() context: Context,
  ): Promise<{ dataset: DatasetRecord }> {
    return { dataset: await registerDataset(context, { name, description, source: chosenOf(source) }, context.caller, context.signal) };
  }

  @Needs("PRUNE")
  @Mutation(() => UpdateDatasetPayload, { description: "Changes what is said of a dataset: its name, its description, its tags." })
  async updateDataset(
    @Arg("input", () => UpdateDatasetInput, { description: "What to say, and of which." }) { id, ...changes }: UpdateDatasetInput,
    @Ctx() { store }: Context,
  ): Promise<{ dataset: DatasetRecord }> {
    return { dataset: await updateDataset(store, id, given(changes)) };
  }

  @Needs("PRUNE")
  @Mutation(() => DeleteDatasetPayload, {
    description: "Deletes a dataset and its records. One that runs work with, or did, is kept (`DATASET_IN_USE`): delete those first.",
  })
  async deleteDataset(
    @Arg("input", () => DeleteDatasetInput, { description: "Which dataset." }) { id }: DeleteDatasetInput,
    @Ctx() services: Context,
  ): Promise<DeleteDatasetPayload> {
    await deleteDataset(services, id);
    return { deletedId: id };
  }

  @FieldResolver(() => datasetOriginEnum, { description: "Where it comes from." })
  origin(@Root() dataset: DatasetRecord): DatasetOrigin {
    return originOfDataset(dataset);
  }

  @FieldResolver(() => [DatasetRecordExcerpt], {
    description: "Some of its records, in their order. Long texts are cut.",
    complexity: recordsCost,
  })
  async records(
    @Root() { digest }: DatasetRecord,
    @Arg("count", () => Int, { defaultValue: 5, description: `Give so many, 1 to ${mostExcerpts}.` }) count: number,
    @Arg("skip", () => Int, { defaultValue: 0, description: "Leave out so many from the beginning." }) skip: number,
    @Ctx() { dataDirectory }: Context,
  ): Promise<readonly DatasetExcerpt[]> {
    requireAll([
      ["count", count >= 1 && count <= mostExcerpts, `must be from 1 to ${mostExcerpts}`],
      ["skip", skip >= 0, "must not be negative"],
    ]);
    return datasetRecords({ dataDirectory, digest }, count, skip);
  }
}
