import { Field, Float, InputType, Int, ObjectType } from "type-graphql";
import {
  type BlockSize,
  defaultCompressionOptions as defaults,
  type HeadBits,
  type CompressionOptions as Options,
  type Pattern,
} from "../../compression/options.ts";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { compressionPatternEnum, executionProviderEnum } from "../enums.ts";

// The class is what a client may ask for and, recorded, what a run was asked for.

@ObjectType("CompressionOptions", {
  description: "What a compression run was asked to do. With the scheme and the bytes of model and dataset it determines the result.",
})
@InputType("CompressionOptionsInput", {
  description:
    "What a compression run is to do. With the scheme and the bytes of model and dataset it determines the result. What a scheme or method does not read is refused.",
})
export class CompressionOptions implements Omit<Options, "scheme"> {
  @Field(() => Int, {
    defaultValue: defaults.blockSize,
    description:
      "Of INT4, INT8 and TERNARY: inputs that share a scale, 32, 64 or 128. Of more, the file is smaller and the model loses more.",
  })
  readonly blockSize!: BlockSize;

  @Field(() => Boolean, {
    defaultValue: defaults.symmetric,
    description: "Of INT4 and INT8: whether codes lie evenly about 0. Otherwise each block has a zero point of its own.",
  })
  readonly symmetric!: boolean;

  @Field(() => Boolean, {
    defaultValue: defaults.activationOrder,
    description: "Of GPTQ: whether inputs come in the order of how strong they are, the strongest first, and not as they lie.",
  })
  readonly activationOrder!: boolean;

  @Field(() => compressionPatternEnum, { defaultValue: defaults.pattern, description: "Of SPARSE and TERNARY: which weights stay." })
  readonly pattern!: Pattern;

  @Field(() => Float, {
    defaultValue: defaults.sparsity,
    description: "Of the pattern UNSTRUCTURED: the share of weights that become 0, above 0 and below 1.",
  })
  readonly sparsity!: number;

  @Field(() => Boolean, {
    defaultValue: defaults.head,
    description:
      "Of INT4 and INT8: whether the product that gives logits is compressed too. Where it shares its weights with the embedding, both have the same codes.",
  })
  readonly head!: boolean;

  @Field(() => Boolean, {
    defaultValue: defaults.embedding,
    description: "Of INT4 and INT8: whether the table of token embeddings is compressed too.",
  })
  readonly embedding!: boolean;

  @Field(() => Int, {
    defaultValue: defaults.headBits,
    description: "Of INT4: bits of head and embedding, 4 or 8. Four make them smaller and faster, and lose more than in all layers.",
  })
  readonly headBits!: HeadBits;

  @Field(() => Int, {
    defaultValue: defaults.samples,
    description: "Texts of which it is read what products are given, 1 to 4,096, by a method that reads any.",
  })
  readonly samples!: number;

  @Field(() => Int, { defaultValue: defaults.sequenceLength, description: "Tokens of each text, 2 to the model's context length." })
  readonly sequenceLength!: number;

  @Field(() => Float, {
    defaultValue: defaults.damping,
    description: "What is added to the diagonal of a product's statistics, as a share of its mean. Above 0 and up to 1.",
  })
  readonly damping!: number;

  @Field(() => Int, {
    defaultValue: defaults.seed,
    description: "Where chance starts: the same seed gives the same compressed model, byte for byte.",
  })
  readonly seed!: number;

  @Field(() => executionProviderEnum, { defaultValue: defaults.executionProvider, description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}
