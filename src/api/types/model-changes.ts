import { Field, ID, InputType, ObjectType } from "type-graphql";
import { ModelSourceInput } from "./import.ts";
import { Model } from "./model.ts";

@InputType({ description: "Which model to register." })
export class RegisterModelInput {
  @Field(() => ModelSourceInput, { nullable: true, description: "Where its files are." })
  readonly source?: ModelSourceInput | null;

  @Field(() => String, {
    nullable: true,
    deprecationReason: "Use `source: { path }`.",
    description:
      "In place of `source`: a folder in the Hugging Face layout, or an `.onnx` or `.gguf` file, relative to the server's model root.",
  })
  readonly path?: string | null;

  @Field(() => String, { nullable: true, description: "What to call it, 1 to 200 characters. Without it, after where it comes from." })
  readonly name?: string | null;

  @Field(() => String, {
    nullable: true,
    description: "A key of the client's own, 1 to 200 characters: a request repeated with its key gives the model that the first one gave.",
  })
  readonly idempotencyKey?: string | null;
}

@ObjectType({ description: "What `registerModel` gives." })
export class RegisterModelPayload {
  @Field(() => Model, { description: "The model, registered now or before." })
  readonly model!: Model;
}

@InputType({ description: "Which model to delete." })
export class DeleteModelInput {
  @Field(() => ID, { description: "The model." })
  readonly id!: string;

  @Field(() => Boolean, { defaultValue: false, description: "Keep models that were made from it, without a parent." })
  readonly keepDescendants!: boolean;
}

@ObjectType({ description: "What `deleteModel` gives." })
export class DeleteModelPayload {
  @Field(() => ID, { description: "The identity that the model had." })
  readonly deletedId!: string;
}

@InputType({ description: "What to say of a model. What is left out stays as it is." })
export class UpdateModelInput {
  @Field(() => ID, { description: "The model." })
  readonly id!: string;

  @Field(() => String, { nullable: true, description: "What to call it, 1 to 200 characters." })
  readonly name?: string | null;

  @Field(() => String, {
    nullable: true,
    description: "What to say of it, in up to 10,000 characters; an empty text takes away what there was.",
  })
  readonly note?: string | null;

  @Field(() => [String], {
    nullable: true,
    description: "What to file it under, in place of what there was: up to 20, of 1 to 50 characters.",
  })
  readonly tags?: string[] | null;
}

@ObjectType({ description: "What `updateModel` gives." })
export class UpdateModelPayload {
  @Field(() => Model, { description: "The model as it is now." })
  readonly model!: Model;
}
