import { Field, InputType } from "type-graphql";
import { dateTime } from "../scalars.ts";

/** What lists are filtered by that tell when their records came. */
@InputType({ description: "Which records, by when they came." })
export abstract class AgeFilter {
  @Field(() => dateTime, { nullable: true, description: "Those that came after this." })
  readonly createdAfter?: Date | null;

  @Field(() => dateTime, { nullable: true, description: "Those that came before this." })
  readonly createdBefore?: Date | null;
}
