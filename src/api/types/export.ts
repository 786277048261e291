import { Field, ID, InputType, ObjectType } from "type-graphql";
import type { FormatName } from "../../models/formats/formats.ts";
import type { WeightType } from "../../models/formats/weight-types.ts";
import { exportFormatEnum, weightTypeEnum } from "../enums.ts";
import { bigInt, dateTime } from "../scalars.ts";
import { connectionType } from "./connection.ts";
import { Node } from "./node.ts";
import { Run, RunSubjectInput } from "./run.ts";

@ObjectType({ implements: Node, description: "A model in a format in which others load it. It goes with its model." })
export class ModelExport {
  @Field(() => ID, { description: "Its identity." })
  readonly id!: string;

  @Field(() => exportFormatEnum, { description: "The form that it has." })
  readonly format!: FormatName;

  @Field(() => String, { description: "The sha256 over the paths and digests of its files: exports of equal digests are the same bytes." })
  readonly digest!: string;

  @Field(() => bigInt, { description: "Bytes of its files." })
  readonly sizeBytes!: number;

  @Field(() => [String], { name: "remarks", description: "What to know of how it was written." })
  readonly notes!: readonly string[];

  @Field(() => dateTime, { description: "When it was written." })
  readonly createdAt!: Date;
}

@ObjectType({ implements: [Run, Node], description: "The writing of a model in a format in which others load it." })
export class ExportRun extends Run {}

export const ExportRunConnection = connectionType(ExportRun);

@InputType({ description: "What to write, and how." })
export class StartExportInput {
  @Field(() => RunSubjectInput, { description: "What to write." })
  readonly subject!: RunSubjectInput;

  @Field(() => exportFormatEnum, { description: "In which form." })
  readonly format!: FormatName;

  @Field(() => weightTypeEnum, { nullable: true, description: "In what to keep the weights; without it, as the format has them." })
  readonly weights?: WeightType | null;

  @Field(() => Boolean, {
    defaultValue: false,
    description:
      "Whether what the format cannot state, such as layers of unlike widths, is filled up with zeros: exact, and larger. Without it, such a model is refused.",
  })
  readonly padding!: boolean;
}

@ObjectType({ description: "What `startExport` gives." })
export class StartExportPayload {
  @Field(() => ExportRun, { description: "The run: one that waits for a worker, or the one that was asked for the same before." })
  readonly run!: ExportRun;
}

@InputType({ description: "Which export to delete." })
export class DeleteExportInput {
  @Field(() => ID, { description: "The export." })
  readonly id!: string;
}

@ObjectType({ description: "What `deleteExport` gives." })
export class DeleteExportPayload {
  @Field(() => ID, { description: "The identity that the export had." })
  readonly deletedId!: string;
}
