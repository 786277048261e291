import { Arg, Ctx, FieldResolver, ID, Int, Mutation, Query, Resolver, Root } from "type-graphql";
import { createEvaluation, type EvaluationRecord, findEvaluation } from "../../store/evaluations.ts";
import type { ModelRecord } from "../../store/models.ts";
import { datasets } from "../../text/datasets.ts";
import type { Context } from "../context.ts";
import { datasetRequest, toDataset } from "../dataset-request.ts";
import { tokenizedModel } from "../tokenized-model.ts";
import { EvaluateModelInput, Evaluation } from "../types/evaluation.ts";
import { BuiltInDataset, Dataset } from "../types/job.ts";
import { Model } from "../types/model.ts";
import { requireAll } from "../validate.ts";

@Resolver(() => Evaluation)
export class EvaluationResolver {
  @Query(() => Evaluation, { nullable: true, description: "An evaluation; null if there is none." })
  evaluation(
    @Arg("id", () => ID, { description: "Its identity." }) id: string,
    @Ctx() { store }: Context,
  ): Promise<EvaluationRecord | null> {
    return findEvaluation(store.prisma, id);
  }

  @Query(() => [BuiltInDataset], { description: "The text collections that come with the server." })
  datasets(): readonly BuiltInDataset[] {
    return datasets;
  }

  @Mutation(() => Evaluation, { description: "Measures a model. It waits for a worker; the query `evaluation` tells how it goes." })
  async evaluateModel(
    @Arg("input", () => EvaluateModelInput, { description: "What to measure, and on what." }) input: EvaluateModelInput,
    @Ctx() { store, queue }: Context,
  ): Promise<EvaluationRecord> {
    const { modelId, sequenceLength, executionProvider } = input;
    const maxTokens = input.maxTokens ?? null;
    const { model } = await tokenizedModel(store, "input.modelId", modelId);
    const longest = model.architecture.contextLength ?? 65_536;
    requireAll([
      [
        "input.sequenceLength",
        sequenceLength >= 2 && sequenceLength <= longest,
        `must be from 2 to the model's context length, ${longest}`,
      ],
      ["input.maxTokens", maxTokens === null || maxTokens >= 1, "must be at least 1"],
    ]);
    const dataset = datasetRequest("input.dataset", input.dataset);
    const settings = { sequenceLength, maxTokens, executionProvider };
    return createEvaluation(store, { modelId, dataset, settings }, (tx, id) => queue.add(tx, "evaluate", id));
  }

  @FieldResolver(() => Model, { description: "The model it measures." })
  model(@Root() { modelId }: EvaluationRecord, @Ctx() { loaders }: Context): Promise<ModelRecord | null> {
    return loaders.models.load(modelId);
  }

  @FieldResolver(() => Dataset, { description: "The texts it measures on." })
  dataset(@Root() { dataset }: EvaluationRecord): Dataset {
    return toDataset(dataset);
  }

  @FieldResolver(() => Int, { description: "Tokens of a window; windows do not overlap." })
  sequenceLength(@Root() { settings }: EvaluationRecord): number {
    return settings.sequenceLength;
  }

  @FieldResolver(() => Int, { nullable: true, description: "It stops after this many predicted tokens; null for all." })
  maxTokens(@Root() { settings }: EvaluationRecord): number | null {
    return settings.maxTokens;
  }
}
