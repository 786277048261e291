import { Field, Float, ID, InputType, Int, ObjectType } from "type-graphql";
import { defaultPruningOptions } from "../../pruning/options.ts";
import { removedAtOnce } from "../../store/removed.ts";
import type { StructureKind } from "../../structures/structure.ts";
import { pruningMethodEnum, structureKindEnum } from "../enums.ts";
import { bigInt } from "../scalars.ts";
import { connectionType } from "./connection.ts";
import { DatasetInput } from "./dataset.ts";
import { Node } from "./node.ts";
import { Options } from "./pruning-options.ts";
import { Run, RunSubjectInput } from "./run.ts";

@ObjectType({ description: "A way of scoring structures." })
export class PruningMethodInfo {
  @Field(() => pruningMethodEnum, { description: "The name to ask for it by." })
  readonly name!: string;

  @Field(() => String, { description: "What it does and where it is from." })
  readonly description!: string;

  @Field(() => [structureKindEnum], { description: "The kinds of structure it can score." })
  readonly kinds!: readonly StructureKind[];

  @Field(() => Boolean, {
    description: "Whether it compares texts with their perturbed views; else the option `perturbation` has no effect.",
  })
  readonly perturbs!: boolean;
}

@ObjectType({ description: "A structure that a run has removed, named as in the base model." })
export class RemovedStructure {
  @Field(() => structureKindEnum, { description: "What it was." })
  readonly kind!: StructureKind;

  @Field(() => Int, { description: "Its position in the base model among those of its kind, from 0." })
  readonly index!: number;

  @Field(() => Float, {
    nullable: true,
    description: "Its score when it was removed; null if an earlier version found none that is a number.",
  })
  readonly score!: number | null;

  @Field(() => bigInt, { description: "Parameters that went with it." })
  readonly parameterCount!: number;
}

export const removedInShort = `What was removed, in the order in which it was taken: the first ${removedAtOnce}. \`PruningRun.removed\` has all.`;

@ObjectType({ description: "One step of a run: every structure scored, the lowest removed." })
export class PruningIteration {
  @Field(() => Int, { description: "Its place in the run, from 0." })
  readonly index!: number;

  @Field(() => Int, { description: "How many structures were removed." })
  readonly removedCount!: number;

  @Field(() => [RemovedStructure], { description: removedInShort })
  readonly removed!: readonly RemovedStructure[];

  @Field(() => bigInt, { description: "Parameters left." })
  readonly parameterCount!: number;

  @Field(() => Float, { description: "Share of the base model's parameters removed so far, 0 to 1." })
  readonly removedRatio!: number;

  @Field(() => Float, {
    nullable: true,
    description: "Mean loss of the calibration texts before this removal, in nats per token; null if the method reads none.",
  })
  readonly loss!: number | null;

  @Field(() => Float, { nullable: true, description: "The same of their perturbed views." })
  readonly perturbedLoss!: number | null;

  @Field(() => Float, { description: "How long it took, in milliseconds." })
  readonly durationMs!: number;
}

@ObjectType({ description: "The score of one structure in one iteration of a run." })
export class StructureScore {
  @Field(() => Int, { description: "The iteration, from 0." })
  readonly iteration!: number;

  @Field(() => structureKindEnum, { description: "What the structure is." })
  readonly kind!: StructureKind;

  @Field(() => Int, { description: "Its position in the base model among those of its kind, from 0." })
  readonly index!: number;

  @Field(() => Float, {
    nullable: true,
    description:
      "The score; of an iteration's candidates the lowest is removed first. Null if an earlier version found none that is a number.",
  })
  readonly score!: number | null;
}

@ObjectType({ description: "The structures of one kind in one layer, in cells of neighbours, the lowest positions first." })
export class StructureMapRow {
  @Field(() => Int, { description: "The layer they lie in." })
  readonly layer!: number;

  @Field(() => Int, { description: "Position in the base model of the first among those of its kind, from 0." })
  readonly index!: number;

  @Field(() => Int, { description: "How many there are in the base model." })
  readonly count!: number;

  @Field(() => Int, { description: "Structures of a cell; the last one may hold fewer." })
  readonly cellSize!: number;

  @Field(() => [Float], { nullable: "items", description: "Mean of the scores of each cell's structures; null where none was scored." })
  readonly scores!: readonly (number | null)[];

  @Field(() => [Float], { nullable: "items", description: "The lowest score of each cell; null where none was scored." })
  readonly lowestScores!: readonly (number | null)[];

  @Field(() => [Int], {
    description: "Structures of each cell that are gone after the iteration, by themselves or with the layer or branch that held them.",
  })
  readonly gone!: readonly number[];

  @Field(() => [Int], {
    nullable: "items",
    description: "The iteration, from 0, in which the first of each cell's structures went; null where none is gone.",
  })
  readonly goneSince!: readonly (number | null)[];
}

@ObjectType({ description: "The scores of an iteration as a map: layers by cells of neighbouring structures." })
export class StructureMap {
  @Field(() => structureKindEnum, { description: "What the structures are." })
  readonly kind!: StructureKind;

  @Field(() => Int, { nullable: true, description: "The iteration, from 0; null while none is done." })
  readonly iteration!: number | null;

  @Field(() => [StructureMapRow], { description: "From the input on. Empty if the model has none of the kind." })
  readonly rows!: readonly StructureMapRow[];
}

@ObjectType({ implements: [Run, Node], description: "The making of a smaller model from a model, one removal at a time." })
export class PruningRun extends Run {
  @Field(() => pruningMethodEnum, { description: "How structures are scored." })
  readonly method!: string;

  @Field(() => Options, { description: "What it was asked to do." })
  readonly options!: Options;

  @Field(() => Float, { description: "Share of the base model's parameters removed so far, 0 to 1." })
  readonly removedRatio!: number;

  @Field(() => bigInt, { nullable: true, description: "The most memory that its process held, in bytes, once it has succeeded." })
  readonly peakMemoryBytes!: number | null;
}

export const PruningRunConnection = connectionType(PruningRun);
export const RemovedStructureConnection = connectionType(RemovedStructure);
export const StructureScoreConnection = connectionType(StructureScore);

@InputType({ description: "What to prune, how, and with which texts." })
export class StartPruningInput {
  @Field(() => RunSubjectInput, { description: "What to prune." })
  readonly subject!: RunSubjectInput;

  @Field(() => pruningMethodEnum, { defaultValue: "PIP", description: "How structures are scored." })
  readonly method!: string;

  @Field(() => DatasetInput, { description: "The calibration texts." })
  readonly dataset!: DatasetInput;

  @Field(() => Options, {
    defaultValue: { ...defaultPruningOptions, perturbation: { ...defaultPruningOptions.perturbation } },
    description: "What to do; what is left out has the default shown.",
  })
  readonly options!: Options;

  @Field(() => Int, { defaultValue: 0, description: "Among runs that wait, higher goes first: -100 to 100." })
  readonly priority!: number;

  @Field(() => ID, {
    nullable: true,
    description:
      "Begin with the iterations of this run as far as they would be the same: all but the target ratio must be as it was there. The result is that of a run from the beginning, byte for byte.",
  })
  readonly from?: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      "A key of the client's own, 1 to 200 characters: a request repeated with its key gives the run that the first one started, and starts no other.",
  })
  readonly idempotencyKey?: string | null;
}

@ObjectType({ description: "What `startPruning` gives." })
export class StartPruningPayload {
  @Field(() => PruningRun, { description: "The run, which waits for a worker." })
  readonly run!: PruningRun;
}
