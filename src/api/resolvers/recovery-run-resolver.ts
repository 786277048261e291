import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Mutation, Query, Resolver, Root } from "type-graphql";
import { recoveryMethods } from "../../recovery/methods/index.ts";
import { startRecovery } from "../../services/start-recovery.ts";
import type { ModelRecord } from "../../store/models.ts";
import type { RecoveryRunRecord } from "../../store/recovery-runs.ts";
import { listRuns, type RunOrder, type RunRecord } from "../../store/runs.ts";
import { pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { recoveryMethodEnum, runOrderEnum } from "../enums.ts";
import { given } from "../given.ts";
import { Needs } from "../needs.ts";
import { chosenOf } from "../one-of.ts";
import { type Connection, connectionOf, PageArgs } from "../types/connection.ts";
import { Model } from "../types/model.ts";
import { RecoverySucceeded } from "../types/recovery-event.ts";
import {
  RecoveryMethodInfo,
  RecoveryRun,
  RecoveryRunConnection,
  SelfTexts,
  StartRecoveryInput,
  StartRecoveryPayload,
} from "../types/recovery-run.ts";
import { AnyRunFilter } from "../types/run.ts";

@InputType({ description: "Which recovery runs to list." })
class RecoveryRunFilter extends AnyRunFilter {
  @Field(() => [recoveryMethodEnum], { nullable: true, description: "Those that train one of these." })
  readonly methods?: string[] | null;
}

@Resolver(() => RecoveryRun)
export class RecoveryRunResolver {
  @Needs("READ")
  @Query(() => RecoveryRun, { nullable: true, description: "A recovery run; null if there is none." })
  async recoveryRun(
    @Arg("id", () => ID, { description: "Its identity." }) id: string,
    @Ctx() { loaders }: Context,
  ): Promise<RunRecord | null> {
    const run = await loaders.runs.load(id);
    return run?.kind === "RECOVERY" ? run : null;
  }

  @Needs("READ")
  @Query(() => RecoveryRunConnection, { description: "Recovery runs.", complexity: pageCost })
  recoveryRuns(
    @Args(() => PageArgs) page: PageArgs,
    @Arg("filter", () => RecoveryRunFilter, { defaultValue: {}, description: "Which ones." }) filter: RecoveryRunFilter,
    @Arg("orderBy", () => runOrderEnum, { defaultValue: "NEWEST_FIRST", description: "In which order." }) orderBy: RunOrder,
    @Ctx() { store }: Context,
  ): Promise<Connection<RecoveryRunRecord>> {
    return connectionOf(page, (request) => listRuns(store.prisma, request, { ...given(filter), kinds: ["RECOVERY"] as const }, orderBy));
  }

  @Needs("READ")
  @Query(() => [RecoveryMethodInfo], { description: "The ways of healing." })
  recoveryMethods(): readonly RecoveryMethodInfo[] {
    return recoveryMethods.map(({ name, description, learningRate }) => ({ name, description, learningRate }));
  }

  @Needs("PRUNE")
  @Mutation(() => StartRecoveryPayload, {
    description:
      "Heals a pruned model: trains it to do again what it could before, and makes a child of it. It waits for a worker; `runProgress` tells how it goes.",
  })
  async startRecovery(
    @Arg("input", () => StartRecoveryInput, { description: "What to heal, and how." }) input: StartRecoveryInput,
    @Ctx() context: Context,
  ): Promise<{ run: RecoveryRunRecord }> {
    const { objectives, adapt, ...rest } = input.options;
    const options = { ...rest, objectives: { ...objectives }, adapt: [...adapt] };
    const { self, ...dataset } = input.dataset;
    const texts = self ? { self: { ...self, prompts: [...self.prompts] } } : chosenOf(dataset);
    const named = { subject: chosenOf(input.subject), dataset: texts, teacherId: input.teacherId ?? null };
    return { run: await startRecovery(context, { ...input, ...named, options }, context.caller.token?.id ?? null) };
  }

  @FieldResolver(() => SelfTexts, { nullable: true, description: "What the teacher was to write; null where the run was given texts." })
  self(@Root() { options }: RecoveryRunRecord): SelfTexts | null {
    return options.self ?? null;
  }

  @FieldResolver(() => Model, {
    nullable: true,
    description:
      "The model it learns from. Null if there is none, or while it is not known: then it is the nearest ancestor that has more parameters.",
  })
  teacher(@Root() { options }: RecoveryRunRecord, @Ctx() { loaders }: Context): Promise<ModelRecord | null> | null {
    return options.teacherId === null ? null : loaders.models.load(options.teacherId);
  }
}

@Resolver(() => RecoverySucceeded)
export class RecoverySucceededResolver {
  @FieldResolver(() => Model, { description: "The healed model." })
  resultModel(@Root() { modelId }: { readonly modelId: string }, @Ctx() { loaders }: Context): Promise<ModelRecord | null> {
    return loaders.models.load(modelId);
  }
}
