import { Field, ID, Int, ObjectType } from "type-graphql";
import type { StructureKind } from "../../structures/structure.ts";
import { structureKindEnum } from "../enums.ts";
import { dot, mermaid } from "../lineage-diagrams.ts";
import { bigInt, dateTime } from "../scalars.ts";
import { connectionType } from "./connection.ts";
import { Failure } from "./failure.ts";
import { Node } from "./node.ts";

@ObjectType({ description: "How often an operator occurs in a model's graph." })
export class OperatorCount {
  @Field(() => String, { description: "The operator's ONNX name, with its domain in front unless that is ONNX's own." })
  readonly operator!: string;

  @Field(() => Int, { description: "Nodes of this operator." })
  readonly count!: number;
}

@ObjectType({ description: "The key and value cache of one layer." })
export class CacheShape {
  @Field(() => Int, { description: "Key/value heads." })
  readonly heads!: number;

  @Field(() => Int, { description: "Numbers per head and token." })
  readonly headWidth!: number;
}

@ObjectType({ description: "A model's shape, as read off its graph." })
export class Architecture {
  @Field(() => Int, { description: "Transformer layers." })
  readonly layers!: number;

  @Field(() => Int, { description: "Width of the residual stream." })
  readonly hiddenSize!: number;

  @Field(() => Int, { description: "Tokens the model tells apart." })
  readonly vocabularySize!: number;

  @Field(() => [CacheShape], { description: "The cache of each layer that has one, in order. Empty if the model was exported without." })
  readonly cache!: readonly CacheShape[];

  @Field(() => Int, { nullable: true, description: "The longest sequence the model was made for, in tokens; null if it does not say." })
  readonly contextLength!: number | null;

  @Field(() => String, { description: "The type of the weights, e.g. `float32`." })
  readonly dataType!: string;
}

@ObjectType({ description: "One file of a model's folder." })
export class ModelFile {
  @Field(() => String, { description: "Its path in the folder, e.g. `onnx/model.onnx`." })
  readonly path!: string;

  @Field(() => String, { description: "The sha256 of its bytes, in hexadecimal; files of equal bytes are stored once." })
  readonly sha256!: string;

  @Field(() => bigInt, { description: "Its size in bytes." })
  readonly sizeBytes!: number;

  @Field(() => String, { description: "Where it is had over HTTP, from this server's own address on; ranges of it too." })
  readonly url!: string;
}

@ObjectType({
  description:
    "The structures of one kind in one layer, each of which can be removed: a single layer or branch, all heads of an attention, or all channels of an MLP.",
})
export class StructureGroup {
  @Field(() => structureKindEnum, { description: "What they are." })
  readonly kind!: StructureKind;

  @Field(() => Int, { description: "Position of the first among those of its kind, counted from the input, from 0; the others follow." })
  readonly index!: number;

  @Field(() => Int, { description: "How many there are." })
  readonly count!: number;

  @Field(() => Int, { description: "The layer they lie in." })
  readonly layer!: number;

  @Field(() => bigInt, { description: "Parameters that go with each." })
  readonly parameterCount!: number;

  @Field(() => [String], { description: "Names of the weights that go with them, whole or in part." })
  readonly parameters!: readonly string[];
}

@ObjectType({ description: "What a model still has of another's structures, of one kind in one layer." })
export class StructuresLeft {
  @Field(() => structureKindEnum, { description: "What they are." })
  readonly kind!: StructureKind;

  @Field(() => Int, { description: "The layer that they lie in, in the other model." })
  readonly layer!: number;

  @Field(() => Int, { description: "How many the other model has there." })
  readonly count!: number;

  @Field(() => Int, { description: "How many of them are left; 0 where the layer or branch that held them is gone." })
  readonly left!: number;
}

@ObjectType({ implements: Node, description: "A language model in ONNX: registered, or made from another by a run." })
export class Model {
  @Field(() => ID, { description: "Its identity." })
  readonly id!: string;

  @Field(() => String, { description: "What people call it." })
  readonly name!: string;

  @Field(() => String, {
    description: "The sha256 over the paths and digests of its files: two models with equal digests are the same bytes.",
  })
  readonly digest!: string;

  @Field(() => bigInt, { description: "Bytes of its graph and weights." })
  readonly sizeBytes!: number;

  @Field(() => bigInt, { description: "Parameters, each weight counted once." })
  readonly parameterCount!: number;

  @Field(() => Int, { description: "The version of ONNX's operator set that its graph is written in." })
  readonly opset!: number;

  @Field(() => Architecture, { description: "Its shape." })
  readonly architecture!: Architecture;

  @Field(() => Failure, {
    nullable: true,
    description: "What keeps it from being pruned, and not from being served; null if nothing does.",
  })
  readonly pruningObstacle!: Failure | null;

  @Field(() => String, { description: "What its users say of it, in lines of text; empty if they have said nothing." })
  readonly note!: string;

  @Field(() => [String], { description: "What its users file it under." })
  readonly tags!: readonly string[];

  @Field(() => [String], {
    name: "remarks",
    description: "What to know of how its files were read (a decoder merged of two is used by one branch), or, of a pruned model, written.",
  })
  readonly notes!: readonly string[];

  @Field(() => dateTime, { description: "When it was registered or made." })
  readonly createdAt!: Date;
}

export const ModelConnection = connectionType(Model);

@ObjectType({ description: "One step of descent: a model and the model it was made from." })
export class LineageEdge {
  @Field(() => Model, { description: "The model that was pruned." })
  readonly parent!: Model;

  @Field(() => Model, { description: "What came of it." })
  readonly child!: Model;
}

@ObjectType({ description: "A model's family: what it came from and what came from it." })
export class Lineage {
  @Field(() => [Model], { description: "The ancestors from the oldest on, the model itself, then its descendants, nearest first." })
  readonly nodes!: readonly Model[];

  @Field(() => [LineageEdge], { description: "Who came from whom, among the nodes." })
  readonly edges!: readonly LineageEdge[];

  @Field(() => Boolean, { description: "Whether there are more descendants than are given." })
  readonly truncated!: boolean;

  @Field(() => String, { description: "The family as a Mermaid flowchart." })
  mermaid(): string {
    return mermaid(this);
  }

  @Field(() => String, { description: "The family as a graph in DOT, Graphviz's language." })
  dot(): string {
    return dot(this);
  }
}
