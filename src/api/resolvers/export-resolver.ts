import { Arg, Ctx, FieldResolver, Mutation, Resolver, Root } from "type-graphql";
import type { FormatName } from "../../models/formats/formats.ts";
import type { WeightType } from "../../models/formats/weight-types.ts";
import { blaming } from "../../rules/validate.ts";
import { currentCard } from "../../services/current-card.ts";
import { deleteExport } from "../../services/delete-export.ts";
import { archiveUrl, fileUrl } from "../../services/published-models.ts";
import { startExport } from "../../services/start-export.ts";
import type { ExportRecord, ExportRunRecord } from "../../store/exports.ts";
import type { ModelRecord } from "../../store/models.ts";
import { nameOfExport, repositoryOf } from "../../store/repository-names.ts";
import type { RunRecord } from "../../store/runs.ts";
import { listCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { exportFormatEnum, weightTypeEnum } from "../enums.ts";
import { Needs } from "../needs.ts";
import { chosenOf } from "../one-of.ts";
import { DeleteExportInput, DeleteExportPayload, ExportRun, ModelExport, StartExportInput, StartExportPayload } from "../types/export.ts";
import { Model, ModelFile } from "../types/model.ts";

/** What its repository is called by. */
async function named(exported: ExportRecord, { loaders }: Context): Promise<{ name: string; digest: string }> {
  const model = await loaders.models.load(exported.modelId);
  return { name: nameOfExport(exported, model?.name ?? ""), digest: exported.digest };
}

@Resolver(() => ModelExport)
export class ExportResolver {
  @Needs("GENERATE")
  @Mutation(() => StartExportPayload, {
    description:
      "Writes a model in a format in which others load it. It waits for a worker; `runProgress` tells how it goes. The same request of the same model gives the run that there is. What the format cannot state is refused, before anything is stored.",
  })
  async startExport(
    @Arg("input", () => StartExportInput, { description: "What to write, and how." }) {
      subject,
      format,
      weights,
      padding,
    }: StartExportInput,
    @Ctx() context: Context,
  ): Promise<{ run: ExportRunRecord }> {
    const request = { subject: chosenOf(subject), format, weights: weights ?? undefined, padding };
    return { run: await startExport(context, request, context.signal) };
  }

  @Needs("PRUNE")
  @Mutation(() => DeleteExportPayload, {
    description: "Deletes an export, the run that wrote it, and those of its files that nothing else has. The model stays.",
  })
  async deleteExport(
    @Arg("input", () => DeleteExportInput, { description: "Which export." }) { id }: DeleteExportInput,
    @Ctx() services: Context,
  ): Promise<DeleteExportPayload> {
    await blaming("input.id", deleteExport(services, id));
    return { deletedId: id };
  }

  @FieldResolver(() => Model, { description: "The model that it is." })
  model(@Root() { modelId }: ExportRecord, @Ctx() { loaders }: Context): Promise<ModelRecord | null> {
    return loaders.models.load(modelId);
  }

  @FieldResolver(() => ExportRun, { description: "The run that wrote it." })
  run(@Root() { runId }: ExportRecord, @Ctx() { loaders }: Context): Promise<RunRecord | null> {
    return loaders.runs.load(runId);
  }

  @FieldResolver(() => weightTypeEnum, { description: "In what it keeps its weights." })
  weights(@Root() { options }: ExportRecord): WeightType {
    return options.weights;
  }

  @FieldResolver(() => Boolean, { description: "Whether what the format cannot state may be filled up with zeros in it." })
  padding(@Root() { options }: ExportRecord): boolean {
    return options.padding;
  }

  @FieldResolver(() => String, {
    description: "Its name as a repository: clients of the Hugging Face Hub whose `HF_ENDPOINT` is this server load it by that.",
  })
  async repository(@Root() exported: ExportRecord, @Ctx() context: Context): Promise<string> {
    return repositoryOf(await named(exported, context));
  }

  @FieldResolver(() => String, { description: "Where its folder is had over HTTP as a tar archive, from this server's own address on." })
  async archiveUrl(@Root() exported: ExportRecord, @Ctx() context: Context): Promise<string> {
    return archiveUrl(await named(exported, context));
  }

  @FieldResolver(() => String, {
    description:
      "Its card as of now, in Markdown with front matter: what was measured since it was written is in it. Its README.md tells what was known then, and stays.",
    complexity: listCost,
  })
  card(@Root() exported: ExportRecord, @Ctx() context: Context): Promise<string> {
    return currentCard(context, exported);
  }

  @FieldResolver(() => [ModelFile], { description: "Its files, by path.", complexity: listCost })
  async files(@Root() exported: ExportRecord, @Ctx() context: Context): Promise<readonly ModelFile[]> {
    const of = await named(exported, context);
    const files = await context.loaders.exportFiles.load(exported.id);
    return files.map((file) => ({ ...file, url: fileUrl(of, file) }));
  }
}

@Resolver(() => ExportRun)
export class ExportRunResolver {
  @FieldResolver(() => exportFormatEnum, { description: "The form that it writes." })
  format(@Root() { options }: ExportRunRecord): FormatName {
    return options.format as FormatName;
  }

  @FieldResolver(() => weightTypeEnum, { description: "In what it keeps the weights." })
  weights(@Root() { options }: ExportRunRecord): WeightType {
    return options.weights;
  }

  @FieldResolver(() => Boolean, { description: "Whether what the format cannot state may be filled up with zeros." })
  padding(@Root() { options }: ExportRunRecord): boolean {
    return options.padding;
  }

  @FieldResolver(() => ModelExport, { nullable: true, description: "What it has written, once it has succeeded." })
  result(@Root() { id }: ExportRunRecord, @Ctx() { loaders }: Context): Promise<ExportRecord | null> {
    return loaders.exportsOfRuns.load(id);
  }
}
