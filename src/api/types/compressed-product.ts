import { Field, Float, Int, ObjectType } from "type-graphql";
import type { CompressedProduct as Product } from "../../compression/events.ts";
import { bigInt } from "../scalars.ts";
import { connectionType } from "./connection.ts";

@ObjectType({ description: "What a method knows of how good its answer is." })
export class CompressionCertificate {
  @Field(() => Int, { description: "Passes that it made." })
  readonly iterations!: number;

  @Field(() => Float, { description: "How far its answer is from one that cannot be better: 0 at such a one." })
  readonly residual!: number;
}

@ObjectType({ description: "A matrix of a model's weights that was compressed." })
export class CompressedProduct implements Product {
  @Field(() => String, { description: "Its name in the model." })
  readonly parameter!: string;

  @Field(() => String, { description: "The node that reads it, which exporters name after the module it was. Empty where it has no name." })
  readonly node!: string;

  @Field(() => Int, { nullable: true, description: "The layer that it lies in, from 0; null before and after all layers." })
  readonly layer!: number | null;

  @Field(() => Int, { description: "Its inputs." })
  readonly inputs!: number;

  @Field(() => Int, { description: "Its outputs." })
  readonly outputs!: number;

  @Field(() => Float, {
    nullable: true,
    description:
      "How much of what it gives has changed: the squares of the differences over the squares of what it gave, of the texts that it was compressed by. Null where none were read.",
  })
  readonly relativeError!: number | null;

  @Field(() => Float, { description: "Share of its weights that are 0." })
  readonly zeroRatio!: number;

  @Field(() => bigInt, { description: "Bytes of its weights before." })
  readonly bytesBefore!: number;

  @Field(() => bigInt, { description: "Bytes of what they became, scales and zero points among them." })
  readonly bytesAfter!: number;

  @Field(() => CompressionCertificate, { nullable: true, description: "What the method knows of how good its answer is; null if nothing." })
  readonly certificate!: CompressionCertificate | null;
}

export const CompressedProductConnection = connectionType(CompressedProduct);
