import { Field, ID, ObjectType } from "type-graphql";
import { Dataset } from "./dataset.ts";
import { Model } from "./model.ts";
import { Run } from "./run.ts";
import { Worker } from "./worker.ts";

@ObjectType({ description: "What has changed in the lists since the message before." })
export class Changes {
  @Field(() => String, { description: "Where one stands after it. A client that was cut off passes the last it saw as `after`." })
  readonly cursor!: string;

  @Field(() => [Run], { description: "Runs that were started or have changed, as they are now." })
  readonly runs!: readonly Run[];

  @Field(() => [Model], { description: "Models that were registered or made, or have changed." })
  readonly models!: readonly Model[];

  @Field(() => [Dataset], { description: "Datasets that were registered or have changed." })
  readonly datasets!: readonly Dataset[];

  @Field(() => [Worker], { description: "Workers that have come, or do something else than before." })
  readonly workers!: readonly Worker[];

  @Field(() => [ID], { description: "Identities of runs, models and datasets that were deleted, and of workers that are gone." })
  readonly deletedIds!: readonly string[];
}
