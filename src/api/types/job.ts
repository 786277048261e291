import { Field, InputType, Int, ObjectType } from "type-graphql";

@ObjectType({ description: "Why a job failed." })
export class JobError {
  @Field(() => String, { description: "A stable code for programs, e.g. `TARGET_UNREACHABLE`." })
  readonly code!: string;

  @Field(() => String, { description: "A sentence for people." })
  readonly message!: string;
}

@ObjectType({ description: "A text collection that comes with the server." })
export class BuiltInDataset {
  @Field(() => String, { description: "The name to ask for it by." })
  readonly name!: string;

  @Field(() => String, { description: "What it holds." })
  readonly description!: string;
}

@ObjectType({ description: "The texts that a job used." })
export class Dataset {
  @Field(() => String, { nullable: true, description: "The built-in dataset's name; null if the client gave its own texts." })
  readonly name!: string | null;

  @Field(() => Int, { nullable: true, description: "How many texts the client gave; null for a built-in dataset." })
  readonly textCount!: number | null;
}

@InputType({ description: "Which texts to use: a built-in dataset, or one's own. Give exactly one of the two." })
export class DatasetInput {
  @Field(() => String, { nullable: true, description: "The name of a built-in dataset; the query `datasets` lists them." })
  readonly name?: string | null;

  @Field(() => [String], { nullable: true, description: "One's own documents, 1 to 10,000 of them; a request has room for 4 MiB." })
  readonly texts?: string[] | null;
}
