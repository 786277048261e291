import { Field, Float, InputType, Int, ObjectType } from "type-graphql";
import {
  defaultPruningOptions as defaults,
  type Normalization,
  type PerturbationOptions,
  type PruningOptions,
} from "../../pruning/options.ts";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import type { StructureKind } from "../../structures/structure.ts";
import type { PerturbationKind } from "../../text/perturb.ts";
import { executionProviderEnum, normalizationEnum, perturbationKindEnum, structureKindEnum } from "../enums.ts";

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

  @Field(() => Int, {
    defaultValue: defaults.structuresPerIteration,
    description: "Structures removed before the smaller model is scored anew, 1 to 100.",
  })
  readonly structuresPerIteration!: number;

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

  @Field(() => normalizationEnum, { defaultValue: defaults.normalization, description: "How scores of structures of unlike size compare." })
  readonly normalization!: Normalization;

  @Field(() => Int, {
    defaultValue: defaults.seed,
    description: "Where chance starts: the same seed gives the same pruned model, byte for byte.",
  })
  readonly seed!: number;

  @Field(() => executionProviderEnum, { defaultValue: defaults.executionProvider, description: "What to run on." })
  readonly executionProvider!: ExecutionProvider;
}
