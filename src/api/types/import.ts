import { Field, Float, ID, InputType, ObjectType } from "type-graphql";
import { OneOf } from "../one-of.ts";
import { bigInt } from "../scalars.ts";
import { connectionType } from "./connection.ts";
import { Node } from "./node.ts";
import { Run } from "./run.ts";
import { RunEvent } from "./run-event.ts";

@ObjectType({ implements: [Run, Node], description: "The making of a model from files: of a folder, an upload or a Hub." })
export class ImportRun extends Run {}

export const ImportRunConnection = connectionType(ImportRun);

@ObjectType({ implements: RunEvent, description: "The import has come further." })
export class ImportProgressed extends RunEvent {
  @Field(() => String, { description: "The file that is fetched, unpacked or stored." })
  readonly file!: string;

  @Field(() => bigInt, { description: "Bytes of it that are there." })
  readonly doneBytes!: number;

  @Field(() => bigInt, { description: "Bytes that it has." })
  readonly totalBytes!: number;

  @Field(() => Float, { description: "Share of all the work that is done, 0 to 1." })
  readonly progress!: number;
}

@InputType({ description: "A model of the Hugging Face Hub, or of the server that `ESPALIER_HUB` names." })
export class HubModelInput {
  @Field(() => String, { description: "Its repository, e.g. `owner/model`." })
  readonly repository!: string;

  @Field(() => String, { defaultValue: "main", description: "A branch, a tag or a commit." })
  readonly revision!: string;

  @Field(() => [String], {
    nullable: true,
    description:
      "The files of weights to take, by their paths. Without it, safetensors if there are any, else an ONNX graph, else a single GGUF file. Configuration and tokenizer always come along.",
  })
  readonly files?: string[] | null;
}

@OneOf()
@InputType({ description: "Where the files of a model are." })
export class ModelSourceInput {
  @Field(() => String, {
    nullable: true,
    description: "A folder or file relative to the server's model root, as `registerModel` takes it.",
  })
  readonly path?: string | null;

  @Field(() => ID, { nullable: true, description: "An upload that has come whole." })
  readonly uploadId?: string | null;

  @Field(() => HubModelInput, { nullable: true, description: "A model of a Hub." })
  readonly hub?: HubModelInput | null;
}

@InputType({ description: "What to make a model of." })
export class StartImportInput {
  @Field(() => ModelSourceInput, { description: "Where its files are." })
  readonly source!: ModelSourceInput;

  @Field(() => String, { nullable: true, description: "What to call it, 1 to 200 characters. Without it, after where it comes from." })
  readonly name?: string | null;

  @Field(() => String, {
    nullable: true,
    description: "A key of the client's own, 1 to 200 characters: a request repeated with its key gives the run that the first one gave.",
  })
  readonly idempotencyKey?: string | null;
}

@ObjectType({ description: "What `startImport` gives." })
export class StartImportPayload {
  @Field(() => ImportRun, { description: "The run; its `resultModel` is the model, once it has succeeded." })
  readonly run!: ImportRun;
}
