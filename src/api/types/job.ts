import { Field, ObjectType } from "type-graphql";

@ObjectType({ description: "Why a job failed." })
export class JobError {
  @Field(() => String, { description: "A stable code for programs, e.g. `TARGET_UNREACHABLE`." })
  readonly code!: string;

  @Field(() => String, { description: "A sentence for people." })
  readonly message!: string;
}
