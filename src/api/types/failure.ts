import { Field, ObjectType } from "type-graphql";

@ObjectType({ description: "Why something failed, or cannot be done." })
export class Failure {
  @Field(() => String, { description: "A stable code for programs, e.g. `TARGET_UNREACHABLE`." })
  readonly code!: string;

  @Field(() => String, { description: "A sentence for people." })
  readonly message!: string;
}
