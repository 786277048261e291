import { Field, Float, ObjectType } from "type-graphql";
import { dateTime } from "../scalars.ts";

@ObjectType({ description: "A setting of the server: an environment variable of the process that answers." })
export class Setting {
  @Field(() => String, { description: "The variable." })
  readonly name!: string;

  @Field(() => String, { nullable: true, description: "Its value, given or usual; null where there is none, and of secrets." })
  readonly value!: string | null;

  @Field(() => Boolean, { description: "Whether its value is told to nobody." })
  readonly isSecret!: boolean;

  @Field(() => Boolean, { description: "Whether it has a value, told or not." })
  readonly isSet!: boolean;

  @Field(() => String, { description: "What its value must be." })
  readonly must!: string;
}

@ObjectType({ description: "What one request may ask for, at most." })
export class RequestLimit {
  @Field(() => String, { description: "Of what." })
  readonly name!: string;

  @Field(() => Float, { description: "How much." })
  readonly value!: number;
}

@ObjectType({ description: "How the server is set up, without secrets." })
export class ServerSettings {
  @Field(() => Boolean, { description: "Whether everybody who reaches it may do everything: no token has ever been made." })
  readonly isOpen!: boolean;

  @Field(() => dateTime, { description: "When the process that answers was started, by its clock." })
  readonly startedAt!: Date;

  @Field(() => String, { description: "The version of Node.js that it runs on." })
  readonly nodeVersion!: string;

  @Field(() => [Setting], { description: "Its settings." })
  readonly settings!: readonly Setting[];

  @Field(() => [RequestLimit], { description: "What one request may ask for." })
  readonly limits!: readonly RequestLimit[];
}
