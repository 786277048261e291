import { Arg, Args, Ctx, Field, ID, InputType, Mutation, Query, Resolver } from "type-graphql";
import { datasetFrom, datasetOf, registerDatasetFile } from "../../services/register-dataset.ts";
import { blaming, isPath, nameRule, requireAll } from "../../services/validate.ts";
import { type DatasetOrder, type DatasetRecord, findDataset, listDatasets } from "../../store/datasets.ts";
import type { DatasetForm } from "../../text/dataset-content.ts";
import { datasets } from "../../text/datasets.ts";
import { pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { datasetFormEnum, datasetOrderEnum } from "../enums.ts";
import { given } from "../given.ts";
import { Needs } from "../needs.ts";
import { chosenOf } from "../one-of.ts";
import { AgeFilter } from "../types/age-filter.ts";
import { type Connection, connectionOf, PageArgs } from "../types/connection.ts";
import { Dataset, DatasetConnection, RegisterDatasetInput, RegisterDatasetPayload } from "../types/dataset.ts";

@InputType({ description: "Which datasets to list." })
class DatasetFilter extends AgeFilter {
  @Field(() => String, { nullable: true, description: "Those whose name has this in it, in any case." })
  readonly name?: string | null;

  @Field(() => datasetFormEnum, { nullable: true, description: "Those whose records are of this form." })
  readonly form?: DatasetForm | null;
}

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
    const given = chosenOf(source);
    requireAll([
      nameRule(name),
      ["input.name", !datasets.some((d) => d.name === name.trim()), "must not be that of a dataset that comes with the server"],
      ["input.description", description.length <= 2000, "must have at most 2,000 characters"],
      ["input.source.path", !("path" in given) || isPath(given.path), "must be a path of 1 to 4,096 characters"],
    ]);
    const [called, ofName] = [name.trim(), (kept: Promise<DatasetRecord>) => blaming("input.name", kept)];
    if ("path" in given) {
      const registered = registerDatasetFile(context, given.path, called, description, context.signal, ofName);
      return { dataset: await blaming("input.source.path", registered) };
    }
    const dataset = await blaming("input.source.texts", datasetFrom(context, given.texts, called, description));
    return { dataset: await ofName(dataset.keep()) };
  }
}
