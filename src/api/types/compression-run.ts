import { Field, Float, InputType, Int, ObjectType } from "type-graphql";
import { compressionMethods } from "../../compression/methods/index.ts";
import { defaultCompressionOptions, type CompressionOptions as Options, type Scheme } from "../../compression/options.ts";
import { compressionMethodEnum, compressionSchemeEnum } from "../enums.ts";
import { bigInt } from "../scalars.ts";
import { CompressionOptions } from "./compression-options.ts";
import { connectionType } from "./connection.ts";
import { DatasetInput } from "./dataset.ts";
import { Node } from "./node.ts";
import { Run, RunSubjectInput } from "./run.ts";

@ObjectType({ description: "A way of compressing." })
export class CompressionMethodInfo {
  @Field(() => compressionMethodEnum, { description: "The name to ask for it by." })
  readonly name!: string;

  @Field(() => String, { description: "How it finds codes or zeros." })
  readonly description!: string;

  @Field(() => [compressionSchemeEnum], { description: "What it can make of weights: the first, unless another is asked for." })
  readonly schemes!: readonly Scheme[];

  @Field(() => Boolean, { description: "Whether it goes by texts, and so needs a dataset." })
  readonly needsDataset!: boolean;
}

@ObjectType({ description: "A matrix that was left as it was." })
export class LeftProduct {
  @Field(() => String, { description: "Its name in the model." })
  readonly parameter!: string;

  @Field(() => String, { description: "Why." })
  readonly reason!: string;
}

@ObjectType({ description: "What came of compressing." })
export class CompressionResult {
  @Field(() => Int, { description: "Matrices that were compressed." })
  readonly productCount!: number;

  @Field(() => [LeftProduct], { description: "Those that were left as they were." })
  readonly left!: readonly LeftProduct[];

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

@ObjectType({ implements: [Run, Node], description: "The compression of a model: its weights become codes of a few bits, or zeros." })
export class CompressionRun extends Run {
  @Field(() => compressionMethodEnum, { description: "How codes or zeros are found." })
  readonly method!: string;

  readonly options!: Options;

  @Field(() => CompressionResult, { nullable: true, description: "What came of it, once it has succeeded." })
  readonly result!: CompressionResult | null;

  @Field(() => bigInt, { nullable: true, description: "The most memory that its process held, in bytes, once it has succeeded." })
  readonly peakMemoryBytes!: number | null;
}

export const CompressionRunConnection = connectionType(CompressionRun);

@InputType({ description: "What to compress, how, and with which texts." })
export class StartCompressionInput {
  @Field(() => RunSubjectInput, { description: "What to compress." })
  readonly subject!: RunSubjectInput;

  @Field(() => compressionMethodEnum, { defaultValue: compressionMethods[0]?.name, description: "How codes or zeros are found." })
  readonly method!: string;

  @Field(() => compressionSchemeEnum, { nullable: true, description: "What weights become. Without it, the first that the method makes." })
  readonly scheme?: Scheme | null;

  @Field(() => DatasetInput, {
    nullable: true,
    description:
      "Texts of which it is read what products are given. Needed by methods that read any, and refused by those that do not. Evaluations on them are refused afterwards, as on other calibration texts.",
  })
  readonly dataset?: DatasetInput | null;

  @Field(() => CompressionOptions, {
    defaultValue: withoutScheme(),
    description: "What to do; what is left out has the default shown.",
  })
  readonly options!: CompressionOptions;

  @Field(() => Int, { defaultValue: 0, description: "Among runs that wait, higher goes first: -100 to 100." })
  readonly priority!: number;

  @Field(() => String, {
    nullable: true,
    description:
      "A key of the client's own, 1 to 200 characters: a request repeated with its key gives the run that the first one started, and starts no other.",
  })
  readonly idempotencyKey?: string | null;
}

function withoutScheme(): Omit<Options, "scheme"> {
  const { scheme: _, ...rest } = defaultCompressionOptions;
  return rest;
}

@ObjectType({ description: "What `startCompression` gives." })
export class StartCompressionPayload {
  @Field(() => CompressionRun, { description: "The run, which waits for a worker." })
  readonly run!: CompressionRun;
}
