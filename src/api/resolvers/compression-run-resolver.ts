import { Arg, Args, Ctx, Field, FieldResolver, ID, InputType, Mutation, Query, Resolver, Root } from "type-graphql";
import type { CompressedProduct as Product } from "../../compression/events.ts";
import { compressionMethods } from "../../compression/methods/index.ts";
import type { Scheme } from "../../compression/options.ts";
import { startCompression } from "../../services/start-compression.ts";
import { type CompressionRunRecord, pageOfProducts } from "../../store/compression-runs.ts";
import type { ModelRecord } from "../../store/models.ts";
import { listRuns, type RunOrder, type RunRecord } from "../../store/runs.ts";
import { pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { compressionMethodEnum, compressionSchemeEnum, runOrderEnum } from "../enums.ts";
import { given } from "../given.ts";
import { Needs } from "../needs.ts";
import { chosenOf } from "../one-of.ts";
import { CompressedProductConnection } from "../types/compressed-product.ts";
import { CompressionSucceeded } from "../types/compression-event.ts";
import { CompressionOptions } from "../types/compression-options.ts";
import {
  CompressionMethodInfo,
  CompressionRun,
  CompressionRunConnection,
  StartCompressionInput,
  StartCompressionPayload,
} from "../types/compression-run.ts";
import { type Connection, connectionOf, PageArgs } from "../types/connection.ts";
import { Model } from "../types/model.ts";
import { AnyRunFilter } from "../types/run.ts";

@InputType({ description: "Which compression runs to list." })
class CompressionRunFilter extends AnyRunFilter {
  @Field(() => [compressionMethodEnum], { nullable: true, description: "Those of one of these methods." })
  readonly methods?: string[] | null;
}

@Resolver(() => CompressionRun)
export class CompressionRunResolver {
  @Needs("READ")
  @Query(() => CompressionRun, { nullable: true, description: "A compression run; null if there is none." })
  async compressionRun(
    @Arg("id", () => ID, { description: "Its identity." }) id: string,
    @Ctx() { loaders }: Context,
  ): Promise<RunRecord | null> {
    const run = await loaders.runs.load(id);
    return run?.kind === "COMPRESSION" ? run : null;
  }

  @Needs("READ")
  @Query(() => CompressionRunConnection, { description: "Compression runs.", complexity: pageCost })
  compressionRuns(
    @Args(() => PageArgs) page: PageArgs,
    @Arg("filter", () => CompressionRunFilter, { defaultValue: {}, description: "Which ones." }) filter: CompressionRunFilter,
    @Arg("orderBy", () => runOrderEnum, { defaultValue: "NEWEST_FIRST", description: "In which order." }) orderBy: RunOrder,
    @Ctx() { store }: Context,
  ): Promise<Connection<CompressionRunRecord>> {
    return connectionOf(page, (request) => listRuns(store.prisma, request, { ...given(filter), kinds: ["COMPRESSION"] as const }, orderBy));
  }

  @Needs("READ")
  @Query(() => [CompressionMethodInfo], { description: "The ways of compressing." })
  compressionMethods(): readonly CompressionMethodInfo[] {
    return compressionMethods.map(({ name, description, schemes, needsGram }) => ({ name, description, schemes, needsDataset: needsGram }));
  }

  @Needs("PRUNE")
  @Mutation(() => StartCompressionPayload, {
    description:
      "Compresses a model: its weights become codes of a few bits, or zeros, and a child is made of it. It waits for a worker; `runProgress` tells how it goes.",
  })
  async startCompression(
    @Arg("input", () => StartCompressionInput, { description: "What to compress, and how." }) input: StartCompressionInput,
    @Ctx() context: Context,
  ): Promise<{ run: CompressionRunRecord }> {
    const named = {
      subject: chosenOf(input.subject),
      scheme: input.scheme ?? null,
      dataset: input.dataset ? chosenOf(input.dataset) : null,
      options: { ...input.options },
    };
    return { run: await startCompression(context, { ...input, ...named }, context.caller.token?.id ?? null) };
  }

  @FieldResolver(() => compressionSchemeEnum, { description: "What weights become." })
  scheme(@Root() { options }: CompressionRunRecord): Scheme {
    return options.scheme;
  }

  @FieldResolver(() => CompressionOptions, { description: "What it was asked to do." })
  options(@Root() { options }: CompressionRunRecord): CompressionOptions {
    return options;
  }

  @FieldResolver(() => CompressedProductConnection, {
    description: "The matrices that it has compressed so far, in the order of the model's graph.",
    complexity: pageCost,
  })
  products(@Root() { id }: RunRecord, @Args(() => PageArgs) page: PageArgs, @Ctx() { loaders }: Context): Promise<Connection<Product>> {
    return connectionOf(page, async (request) => pageOfProducts(await loaders.compressedProducts.load(id), request));
  }
}

@Resolver(() => CompressionSucceeded)
export class CompressionSucceededResolver {
  @FieldResolver(() => Model, { description: "The compressed model." })
  resultModel(@Root() { modelId }: { readonly modelId: string }, @Ctx() { loaders }: Context): Promise<ModelRecord | null> {
    return loaders.models.load(modelId);
  }
}
