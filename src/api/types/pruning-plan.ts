import { Field, Float, Int, ObjectType } from "type-graphql";
import type { ModelRecord } from "../../store/models.ts";
import type { PruningRunRecord } from "../../store/pruning-runs.ts";
import type { StructureKind } from "../../structures/structure.ts";
import { structureKindEnum } from "../enums.ts";
import { bigInt } from "../scalars.ts";
import { Model } from "./model.ts";
import { PruningRun } from "./pruning-run.ts";

@ObjectType({ description: "Structures of one kind that a pruning run may remove." })
export class PlannedStructures {
  @Field(() => structureKindEnum, { description: "Their kind." })
  readonly kind!: StructureKind;

  @Field(() => Int, { description: "How many there are outside the protected layers." })
  readonly count!: number;

  @Field(() => Int, { description: "How many of them may go at most, if no other kind did." })
  readonly removable!: number;

  @Field(() => bigInt, { description: "Parameters of as many." })
  readonly parameterCount!: number;
}

@ObjectType({ description: "What a pruning run would do, as far as that can be told before any structure has a score." })
export class PruningPlan {
  @Field(() => Model, { description: "The model; while it is still being made, the one that it is made from." })
  readonly model!: ModelRecord;

  @Field(() => Boolean, { description: "Whether the model is still being made, so that all counts are of the one that it is made from." })
  readonly isPending!: boolean;

  @Field(() => bigInt, { description: "Parameters that are to be left, at most." })
  readonly targetParameterCount!: number;

  @Field(() => Float, {
    description: "Share of the parameters that may go at most, 0 to 1. A larger `targetRatio` fails with `TARGET_UNREACHABLE`.",
  })
  readonly reachableRatio!: number;

  @Field(() => [PlannedStructures], { description: "What may go, by kind. Those of a layer lie in it: kinds do not add up." })
  readonly structures!: readonly PlannedStructures[];

  @Field(() => Int, { description: "Structures that an iteration removes." })
  readonly structuresPerIteration!: number;

  @Field(() => Int, { description: "Iterations, if the largest structures went first." })
  readonly fewestIterations!: number;

  @Field(() => Int, { description: "Iterations, if the smallest structures went first." })
  readonly mostIterations!: number;

  @Field(() => Float, {
    nullable: true,
    description: "About how long the fewest iterations take, in ms; null where no such run was measured here.",
  })
  readonly leastMs!: number | null;

  @Field(() => Float, {
    nullable: true,
    description: "About how long the most iterations take, in ms; null where no such run was measured here.",
  })
  readonly mostMs!: number | null;

  @Field(() => [PruningRun], {
    description:
      "The runs that it is reckoned by: the newest of the same method, on models of about the size. Time goes with iterations, samples, their length and the parameters that are there.",
  })
  readonly measuredBy!: readonly PruningRunRecord[];
}
