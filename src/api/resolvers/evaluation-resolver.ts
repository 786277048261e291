import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Int, Mutation, Query, Resolver, Root } from "type-graphql";
import { accuracyKept } from "../../services/retained.ts";
import { startEvaluation } from "../../services/start-evaluation.ts";
import { type EvaluationRecord, findEvaluation } from "../../store/evaluations.ts";
import { listRuns, type RunOrder } from "../../store/runs.ts";
import { pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { runOrderEnum } from "../enums.ts";
import { given } from "../given.ts";
import { Needs } from "../needs.ts";
import { chosenOf } from "../one-of.ts";
import { type Connection, connectionOf, PageArgs } from "../types/connection.ts";
import {
  Evaluation,
  EvaluationAgainst,
  EvaluationAnswerInput,
  EvaluationConnection,
  Retained,
  StartEvaluationInput,
  StartEvaluationPayload,
} from "../types/evaluation.ts";
import { AnyRunFilter } from "../types/run.ts";

@InputType({ description: "Which evaluations to list." })
class EvaluationFilter extends AnyRunFilter {
  @Field(() => String, { nullable: true, description: "Those that measured the same thing the same way: of this `comparisonKey`." })
  readonly comparisonKey?: string | null;
}

@Resolver(() => Evaluation)
export class EvaluationResolver {
  @Needs("READ")
  @Query(() => Evaluation, { nullable: true, description: "An evaluation; null if there is none." })
  evaluation(
    @Arg("id", () => ID, { description: "Its identity." }) id: string,
    @Ctx() { store }: Context,
  ): Promise<EvaluationRecord | null> {
    return findEvaluation(store.prisma, id);
  }

  @Needs("READ")
  @Query(() => EvaluationConnection, { description: "Evaluations.", complexity: pageCost })
  evaluations(
    @Args(() => PageArgs) page: PageArgs,
    @Arg("filter", () => EvaluationFilter, { defaultValue: {}, description: "Which ones." }) filter: EvaluationFilter,
    @Arg("orderBy", () => runOrderEnum, { defaultValue: "NEWEST_FIRST", description: "In which order." }) orderBy: RunOrder,
    @Ctx() { store }: Context,
  ): Promise<Connection<EvaluationRecord>> {
    return connectionOf(page, (request) => listRuns(store.prisma, request, { ...given(filter), kinds: ["EVALUATION"] as const }, orderBy));
  }

  @Needs("GENERATE")
  @Mutation(() => StartEvaluationPayload, {
    description:
      "Measures a model: perplexity on texts, accuracy on items with choices, exact matches of the answers that it writes to prompts. It waits for a worker; `runProgress` tells how it goes. Refused with DATASET_OVERLAP where the model was pruned, healed or compressed with the same texts.",
  })
  async startEvaluation(
    @Arg("input", () => StartEvaluationInput, { description: "What to measure, and on what." }) input: StartEvaluationInput,
    @Ctx() context: Context,
  ): Promise<{ run: EvaluationRecord }> {
    const { sequenceLength, measureSpeed, executionProvider, allowOverlap } = input;
    const lengths = { sequenceLength, stride: input.stride ?? sequenceLength };
    const bounds = { maxTokens: input.maxTokens ?? null, maxItems: input.maxItems ?? null };
    const writing = { maxNewTokens: input.maxNewTokens, stop: input.stop, answer: input.answer ? { ...input.answer } : null };
    const settings = { ...lengths, ...bounds, ...writing, against: input.against ?? null, measureSpeed, executionProvider };
    const request = { subject: chosenOf(input.subject), dataset: chosenOf(input.dataset), settings, allowOverlap };
    return { run: await startEvaluation(context, request, context.signal) };
  }

  @FieldResolver(() => Int, { description: "For texts: tokens of a window." })
  sequenceLength(@Root() { options }: EvaluationRecord): number {
    return options.sequenceLength;
  }

  @FieldResolver(() => Int, { description: "For texts: tokens from one window's start to the next." })
  stride(@Root() { options }: EvaluationRecord): number {
    return options.stride ?? options.sequenceLength;
  }

  @FieldResolver(() => Int, { nullable: true, description: "For texts: it stops after this many predicted tokens; null for all." })
  maxTokens(@Root() { options }: EvaluationRecord): number | null {
    return options.maxTokens;
  }

  @FieldResolver(() => Int, { nullable: true, description: "For items with choices or prompts: it stops after this many; null for all." })
  maxItems(@Root() { options }: EvaluationRecord): number | null {
    return options.maxItems ?? null;
  }

  @FieldResolver(() => Int, {
    nullable: true,
    description: "For prompts: tokens of an answer at most; null of evaluations of before they could be.",
  })
  maxNewTokens(@Root() { options }: EvaluationRecord): number | null {
    return options.maxNewTokens ?? null;
  }

  @FieldResolver(() => [String], { description: "For prompts: texts at which an answer ends." })
  stop(@Root() { options }: EvaluationRecord): readonly string[] {
    return options.stop ?? [];
  }

  @FieldResolver(() => EvaluationAnswerInput, {
    nullable: true,
    description: "For prompts: where the answer is looked for; null for all that is written.",
  })
  answer(@Root() { options }: EvaluationRecord): EvaluationAnswerInput | null {
    return options.answer ?? null;
  }

  @FieldResolver(() => EvaluationAgainst, { nullable: true, description: "The model that it is held against; null where there is none." })
  async against(@Root() { options: { against } }: EvaluationRecord, @Ctx() { loaders }: Context): Promise<EvaluationAgainst | null> {
    return against ? { ...against, model: await loaders.models.load(against.modelId) } : null;
  }

  @FieldResolver(() => Retained, {
    nullable: true,
    description:
      "How much is left of what the model's parent could do. Null until both have been measured in the same way, and for a model that was registered.",
  })
  async retained(@Root() evaluation: EvaluationRecord, @Ctx() { loaders }: Context): Promise<Retained | null> {
    const parent = evaluation.result && (await loaders.comparableOfParents.load(evaluation.id));
    type Name =
      | "exactMatch"
      | "accuracy"
      | "nextTokenAccuracy"
      | "normalizedAccuracy"
      | "byteNormalizedAccuracy"
      | "perplexity"
      | "decodeTokensPerSecond";
    const ratio = (name: Name) => {
      const [mine, theirs] = [evaluation.result?.[name], parent?.result?.[name]];
      return mine != null && theirs ? mine / theirs : null;
    };
    if (!parent) return null;
    return {
      parent,
      exactMatchRatio: ratio("exactMatch"),
      accuracyRatio: ratio("accuracy") ?? ratio("exactMatch") ?? ratio("nextTokenAccuracy"),
      ...(evaluation.result && parent.result ? accuracyKept(evaluation.result, parent.result) : {}),
      normalizedAccuracyRatio: ratio("normalizedAccuracy"),
      byteNormalizedAccuracyRatio: ratio("byteNormalizedAccuracy"),
      perplexityRatio: ratio("perplexity"),
      decodeSpeedRatio: ratio("decodeTokensPerSecond"),
    };
  }
}
