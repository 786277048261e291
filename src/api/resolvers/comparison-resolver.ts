import { Arg, Ctx, FieldResolver, ID, Query, Resolver, Root } from "type-graphql";
import { blaming, requireAll } from "../../rules/validate.ts";
import { compareRuns } from "../../store/comparison.ts";
import type { ModelRecord } from "../../store/models.ts";
import { listCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { Comparison, ComparisonRow } from "../types/comparison.ts";
import { Model } from "../types/model.ts";

@Resolver(() => Comparison)
export class ComparisonResolver {
  @Needs("READ")
  @Query(() => Comparison, {
    description:
      "What runs made of one model, side by side: each of them, and the model itself, with all that was measured in the same way.",
    complexity: listCost,
  })
  async comparison(
    @Arg("modelId", () => ID, { description: "The model that was pruned." }) modelId: string,
    @Arg("runIds", () => [ID], { nullable: true, description: "Only these of its runs. Without it, all that succeeded: the newest 100." })
    runIds: string[] | null | undefined,
    @Ctx() { store }: Context,
  ): Promise<object> {
    requireAll([["runIds", (runIds?.length ?? 0) <= 100, "must be at most 100"]]);
    const { model, columns, rows } = await blaming("modelId", compareRuns(store.prisma, modelId, runIds ?? null));
    return { model, columns: columns.map((evaluation) => ({ comparisonKey: evaluation.comparisonKey, evaluation })), rows };
  }
}

@Resolver(() => ComparisonRow)
export class ComparisonRowResolver {
  @FieldResolver(() => Model, { description: "The model." })
  model(@Root() { modelId }: { readonly modelId: string }, @Ctx() { loaders }: Context): Promise<ModelRecord | null> {
    return loaders.models.load(modelId);
  }
}
