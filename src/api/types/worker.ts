import { Field, ID, Int, ObjectType } from "type-graphql";
import type { ExecutionProvider } from "../../runtime/providers.ts";
import { executionProviderEnum } from "../enums.ts";
import { dateTime } from "../scalars.ts";
import { Node } from "./node.ts";

@ObjectType({ implements: Node, description: "A process that does runs. It is there as long as it says that it lives." })
export class Worker {
  @Field(() => ID, { description: "Its identity: each start of a worker has its own." })
  readonly id!: string;

  @Field(() => String, { description: "The machine that it runs on, as that calls itself." })
  readonly host!: string;

  @Field(() => Int, { description: "Its process there." })
  readonly processId!: number;

  @Field(() => [executionProviderEnum], {
    description: "What runs may ask for that it takes. A server on its own takes all, and fails those that it cannot do.",
  })
  readonly providers!: readonly ExecutionProvider[];

  @Field(() => [executionProviderEnum], { description: "What it was found to compute on; empty until that is known." })
  readonly computesOn!: readonly ExecutionProvider[];

  @Field(() => Int, { description: "Runs at a time, of each kind." })
  readonly concurrency!: number;

  @Field(() => String, { description: "Its version." })
  readonly version!: string;

  @Field(() => dateTime, { description: "When it was started, by its own clock." })
  readonly startedAt!: Date;
}
