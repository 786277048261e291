import { Field, Float, Int, ObjectType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { executionProviderEnum } from "../enums.ts";
import { bigInt } from "../scalars.ts";
import { CompressedProduct } from "./compressed-product.ts";
import { RunEvent } from "./run-event.ts";

@ObjectType({ implements: RunEvent, description: "The run has loaded its model, and begins to compress it." })
export class CompressionStarted extends RunEvent {
  @Field(() => executionProviderEnum, { description: "What it runs on." })
  readonly executionProvider!: ExecutionProvider;

  @Field(() => Int, { description: "Groups of matrices that are given the same: each is a step." })
  readonly steps!: number;

  @Field(() => Int, { description: "Tokens of the texts that it goes by; 0 where it reads none." })
  readonly tokens!: number;
}

@ObjectType({ implements: RunEvent, description: "The run has compressed matrices that are given the same. It need not do them again." })
export class ProductsCompressed extends RunEvent {
  @Field(() => Int, { description: "The step, from 1." })
  readonly step!: number;

  @Field(() => Int, { description: "Steps to make." })
  readonly steps!: number;

  @Field(() => [CompressedProduct], { description: "The matrices." })
  readonly products!: readonly CompressedProduct[];

  @Field(() => Float, { description: "How long the run will probably still take, in milliseconds." })
  readonly estimatedMsLeft!: number;
}

@ObjectType({ implements: RunEvent, description: "The run has stored the compressed model. Its last event." })
export class CompressionSucceeded extends RunEvent {
  @Field(() => Int, { description: "Matrices that were compressed." })
  readonly productCount!: number;

  @Field(() => Float, {
    nullable: true,
    description: "The mean of their relative errors (`CompressedProduct.relativeError`); null where no texts were read.",
  })
  readonly meanRelativeError!: number | null;

  @Field(() => Float, { description: "Share of all compressed weights that are 0." })
  readonly zeroRatio!: number;

  @Field(() => bigInt, { description: "Bytes of all weights of the model before." })
  readonly bytesBefore!: number;

  @Field(() => bigInt, { description: "Bytes of all weights of the compressed model." })
  readonly bytesAfter!: number;
}

@ObjectType({ implements: RunEvent, description: "The run goes on, after the last step that is stored." })
export class CompressionResumed extends RunEvent {
  @Field(() => Int, { description: "Steps that it need not make again." })
  readonly step!: number;
}

/** The types of events that only compression runs have. */
export const compressionEventTypes = [CompressionStarted, ProductsCompressed, CompressionSucceeded, CompressionResumed];
