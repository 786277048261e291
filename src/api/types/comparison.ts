import { Field, ObjectType } from "type-graphql";
import type { ModelRecord } from "../../store/models.ts";
import { Evaluation } from "./evaluation.ts";
import { Model } from "./model.ts";
import { PruningRun } from "./pruning-run.ts";

@ObjectType({ description: "One way in which models were measured: evaluations that compare with one another." })
export class ComparisonColumn {
  @Field(() => String, { description: "The key that its evaluations share." })
  readonly comparisonKey!: string;

  @Field(() => Evaluation, { description: "The first of them, for what it measured on and how." })
  readonly evaluation!: Evaluation;
}

@ObjectType({ description: "One model of a comparison." })
export class ComparisonRow {
  @Field(() => PruningRun, { nullable: true, description: "The run that made it; null for the model that all were made from." })
  readonly run!: PruningRun | null;

  @Field(() => [Evaluation], {
    nullable: "items",
    description: "The newest evaluation of it in each column, in the columns' order; null where it was not so measured.",
  })
  readonly evaluations!: readonly (Evaluation | null)[];
}

@ObjectType({ description: "What runs made of one model, side by side." })
export class Comparison {
  @Field(() => Model, { description: "The model that was pruned." })
  readonly model!: ModelRecord;

  @Field(() => [ComparisonColumn], { description: "How they were measured, oldest first." })
  readonly columns!: readonly ComparisonColumn[];

  @Field(() => [ComparisonRow], { description: "The model itself, then what each run made of it, oldest first: the newest 100." })
  readonly rows!: readonly ComparisonRow[];
}
