import { Field, ID, InputType, Int, ObjectType } from "type-graphql";
import type { DatasetForm } from "../../text/dataset-content.ts";
import { datasetFormEnum } from "../enums.ts";
import { OneOf } from "../one-of.ts";
import { bigInt, dateTime } from "../scalars.ts";
import { connectionType } from "./connection.ts";
import { Node } from "./node.ts";

@ObjectType({
  implements: Node,
  description: "A collection of texts, of questions with choices, or of prompts with answers. Its records never change.",
})
export class Dataset {
  @Field(() => ID, { description: "Its identity." })
  readonly id!: string;

  @Field(() => String, { nullable: true, description: "The name to ask for it by; null for texts that came with a request." })
  readonly name!: string | null;

  @Field(() => String, { description: "What it holds." })
  readonly description!: string;

  @Field(() => [String], { description: "What its users file it under." })
  readonly tags!: readonly string[];

  @Field(() => datasetFormEnum, { description: "What its records are." })
  readonly form!: DatasetForm;

  @Field(() => String, { description: "The sha256 of its records: what was measured on equal digests was measured on the same." })
  readonly digest!: string;

  @Field(() => Int, { description: "How many documents or items it has." })
  readonly recordCount!: number;

  @Field(() => bigInt, { description: "Its size as stored, in bytes." })
  readonly sizeBytes!: number;

  @Field(() => dateTime, { description: "When it was registered, or first used." })
  readonly createdAt!: Date;
}

@ObjectType({ description: "A record of a dataset. Texts of more than 2,000 characters are cut." })
export class DatasetRecordExcerpt {
  @Field(() => Int, { description: "Its place in the dataset, from 0." })
  readonly index!: number;

  @Field(() => String, {
    description: "The document; of a question its context, or of one with contexts what goes on from them; of a prompt the prompt.",
  })
  readonly text!: string;

  @Field(() => [String], { description: "What a question has to choose from: its choices, or its contexts. Else none." })
  readonly choices!: readonly string[];

  @Field(() => Int, { nullable: true, description: "The place of the right choice, from 0; null where there are none." })
  readonly gold!: number | null;

  @Field(() => String, { nullable: true, description: "The right answer to a prompt; null for other records." })
  readonly answer!: string | null;

  @Field(() => Boolean, { description: "Whether something of it was cut." })
  readonly isCut!: boolean;
}

export const DatasetConnection = connectionType(Dataset);

@OneOf()
@InputType({ description: "Which dataset to use: one that is registered or comes with the server, or one's own texts." })
export class DatasetInput {
  @Field(() => ID, { nullable: true, description: "The dataset of this identity." })
  readonly id?: string | null;

  @Field(() => String, { nullable: true, description: "The dataset of this name; the query `datasets` lists them." })
  readonly name?: string | null;

  @Field(() => [String], {
    nullable: true,
    description: "One's own documents, up to 100,000 of them; a request has room for 4 MiB. They are kept as a dataset without a name.",
  })
  readonly texts?: string[] | null;
}

@OneOf()
@InputType({ description: "Where a dataset's records come from." })
export class DatasetSourceInput {
  @Field(() => String, {
    nullable: true,
    description:
      "A file, relative to the server's dataset root. `.txt` is one document; `.jsonl` has a record a line and `.json` an array of them: a string, `{text}`, `{context, choices, gold}` or `{contexts, continuation, gold}`, where `gold` is the place of the right one, from 0, or `{prompt, answer}`.",
  })
  readonly path?: string | null;

  @Field(() => ID, {
    nullable: true,
    description: "An upload of one such file that has come whole. It goes once it is a dataset.",
  })
  readonly uploadId?: string | null;

  @Field(() => [String], { nullable: true, description: "Documents; a request has room for 4 MiB." })
  readonly texts?: string[] | null;
}

@InputType({ description: "Which dataset to register." })
export class RegisterDatasetInput {
  @Field(() => String, { description: "What to call it, 1 to 200 characters." })
  readonly name!: string;

  @Field(() => String, { defaultValue: "", description: "What it holds, up to 2,000 characters." })
  readonly description!: string;

  @Field(() => DatasetSourceInput, { description: "Its records." })
  readonly source!: DatasetSourceInput;
}

@ObjectType({ description: "What `registerDataset` gives." })
export class RegisterDatasetPayload {
  @Field(() => Dataset, { description: "The dataset, registered now or before." })
  readonly dataset!: Dataset;
}

@InputType({ description: "What to say of a dataset. What is left out stays as it is." })
export class UpdateDatasetInput {
  @Field(() => ID, { description: "The dataset; not one that comes with the server." })
  readonly id!: string;

  @Field(() => String, { nullable: true, description: "What to call it, 1 to 200 characters." })
  readonly name?: string | null;

  @Field(() => String, { nullable: true, description: "What it holds, up to 2,000 characters." })
  readonly description?: string | null;

  @Field(() => [String], {
    nullable: true,
    description: "What to file it under, in place of what there was: up to 20, of 1 to 50 characters.",
  })
  readonly tags?: string[] | null;
}

@ObjectType({ description: "What `updateDataset` gives." })
export class UpdateDatasetPayload {
  @Field(() => Dataset, { description: "The dataset as it is now." })
  readonly dataset!: Dataset;
}

@InputType({ description: "Which dataset to delete." })
export class DeleteDatasetInput {
  @Field(() => ID, { description: "The dataset; not one that comes with the server." })
  readonly id!: string;
}

@ObjectType({ description: "What `deleteDataset` gives." })
export class DeleteDatasetPayload {
  @Field(() => ID, { description: "The identity that the dataset had." })
  readonly deletedId!: string;
}
