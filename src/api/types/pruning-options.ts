import { Field, Float, InputType, Int, ObjectType } from "type-graphql";
import { methods } from "../../pruning/methods/index.ts";
import { normalizationOf } from "../../pruning/methods/method.ts";
import {
  defaultPruningOptions as defaults,
  type GradientPoint,
  type Normalization,
  type PerturbationOptions,
  type PruningOptions,
  type Restoration,
  type UniformOptions,
} from "../../pruning/options.ts";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import type { StructureKind } from "../../structures/structure.ts";
import type { PerturbationKind } from "../../text/perturb.ts";
import {
  executionProviderEnum,
  gradientPointEnum,
  normalizationEnum,
  perturbationKindEnum,
  pruningMethodEnum,
  restorationEnum,
  structureKindEnum,
} from "../enums.ts";

/** Methods whose scores are divided by nothing. */
const undivided = methods.flatMap((method) => (normalizationOf(method) === "NONE" ? [method.name] : []));

// Each class is what a client may ask for and, recorded, what a run was asked for.

@ObjectType("Perturbation", { description: "How the second view of each calibration text is made." })
@InputType("PerturbationInput", { description: "How the second view of each calibration text is made." })
export class Perturbation implements PerturbationOptions {
  @Field(() => perturbationKindEnum, { defaultValue: defaults.perturbation.kind, description: "The kind of edit." })
  readonly kind!: PerturbationKind;

  @Field(() => Float, {
    defaultValue: defaults.perturbation.rate,
    description: "Share of words (TOKEN: of tokens) that are changed, above 0 and up to 1.",
  })
  readonly rate!: number;

  @Field(() => Boolean, {
    defaultValue: defaults.perturbation.regenerate,
    description: "Whether every iteration draws its perturbations anew, as the paper does.",
  })
  readonly regenerate!: boolean;
}

@ObjectType("Uniform", {
  description: "Every layer keeps as many experts, heads and channels as the others: each MLP as many channels as those that were as wide.",
})
@InputType("UniformInput", {
  description: "Every layer keeps as many experts, heads and channels as the others: each MLP as many channels as those that were as wide.",
})
export class Uniform implements UniformOptions {
  @Field(() => Int, { defaultValue: 1, description: "The experts that each MLP keeps are a multiple of this, 1 to 1,024." })
  readonly expertMultiple!: number;

  @Field(() => Int, { defaultValue: 1, description: "The heads that each attention keeps are a multiple of this, 1 to 1,024." })
  readonly headMultiple!: number;

  @Field(() => Int, { defaultValue: 1, description: "The channels that each MLP keeps are a multiple of this, 1 to 65,536." })
  readonly channelMultiple!: number;
}

@ObjectType("PruningOptions", { description: "What a pruning run was asked to do. With the model's bytes it determines the result." })
@InputType("PruningOptionsInput", { description: "What a pruning run is to do. With the model's bytes it determines the result." })
export class Options implements PruningOptions {
  @Field(() => Float, {
    defaultValue: defaults.targetRatio,
    description: "Share of the parameters to remove, between 0 and 1: the run stops at the first iteration that reaches it.",
  })
  readonly targetRatio!: number;

  @Field(() => [structureKindEnum], { defaultValue: [...defaults.structureKinds], description: "Kinds of structure that may be removed." })
  readonly structureKinds!: readonly StructureKind[];

  @Field(() => Float, {
    defaultValue: defaults.structuresPerIteration,
    description:
      "Structures removed before the smaller model is scored anew. 1 or more: so many, a whole number up to 1,000,000; below 1: that share of the structures that may go at the start, but at least one.",
  })
  readonly structuresPerIteration!: number;

  @Field(() => Float, {
    defaultValue: defaults.minKeepRatio,
    description:
      "Share of the heads of each attention, and of the experts and channels of each MLP, that stay as long as the branch does, 0 to 1. One always stays, and as many experts as a token is sent to.",
  })
  readonly minKeepRatio!: number;

  @Field(() => Uniform, {
    nullable: true,
    defaultValue: defaults.uniform,
    description:
      "Whether all layers keep the same number of heads and of channels, so that `config.json` can state it and other runtimes load the result. Null: each layer keeps what scores best.",
  })
  readonly uniform!: Uniform | null;

  @Field(() => Int, { defaultValue: defaults.samples, description: "Calibration texts, 1 to 1,024, each seen in two views." })
  readonly samples!: number;

  @Field(() => Int, { defaultValue: defaults.sequenceLength, description: "Tokens of each view, 2 to the model's context length." })
  readonly sequenceLength!: number;

  @Field(() => Perturbation, { defaultValue: { ...defaults.perturbation }, description: "How the second views are made." })
  readonly perturbation!: Perturbation;

  @Field(() => Int, { defaultValue: defaults.protectFirst, description: "Layers at the input side that are never removed." })
  readonly protectFirst!: number;

  @Field(() => Int, { defaultValue: defaults.protectLast, description: "Layers at the output side that are never removed." })
  readonly protectLast!: number;

  @Field(() => normalizationEnum, {
    nullable: true,
    defaultValue: defaults.normalization,
    description: `How scores of structures of unlike size compare. Null: as the method has it, which is recorded: SQRT_PARAMETER_COUNT, or NONE where its scores do not grow with size (${undivided.join(", ")}). FLAP's are divided by nothing else.`,
  })
  readonly normalization!: Normalization | null;

  @Field(() => gradientPointEnum, {
    defaultValue: defaults.gradientBy,
    description: "By what of a structure the loss is differentiated, by methods that take norms of gradients: PIP and GRADIENT_NORM.",
  })
  readonly gradientBy!: GradientPoint;

  @Field(() => pruningMethodEnum, {
    nullable: true,
    defaultValue: defaults.startFrom,
    description:
      "Of POLICY_GRADIENT: the method whose scores it starts from, in each iteration anew; it must be able to score the kinds that may go. Null: it starts with all structures alike.",
  })
  readonly startFrom!: string | null;

  @Field(() => Int, {
    nullable: true,
    defaultValue: defaults.masks,
    description:
      "Of POLICY_GRADIENT: how many random masks it draws in each iteration, 8 to 1,000,000; each costs a forward pass of a text. Null: four for each sample, times the texts that make 1,024 tokens.",
  })
  readonly masks!: number | null;

  @Field(() => restorationEnum, {
    nullable: true,
    defaultValue: defaults.restore,
    description:
      "What makes up for removed heads and channels. Null: as the method has it, which is recorded: BIAS with FLAP, NONE with all others.",
  })
  readonly restore!: Restoration | null;

  @Field(() => Int, {
    defaultValue: defaults.seed,
    description: "Where chance starts: the same seed gives the same pruned model, byte for byte.",
  })
  readonly seed!: number;

  @Field(() => executionProviderEnum, { defaultValue: defaults.executionProvider, description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}
