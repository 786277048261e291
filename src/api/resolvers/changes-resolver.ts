import { Arg, Ctx, Query, Resolver, Root, Subscription } from "type-graphql";
import { blaming } from "../../rules/validate.ts";
import { type ChangeBatch, followChanges } from "../../store/change-feed.ts";
import { type Change, cursorOf, positionOf, settledPosition } from "../../store/changes.ts";
import { cancellable } from "../cancellable.ts";
import { listCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { Changes } from "../types/changes.ts";

interface ChangesArgs {
  readonly after?: string | null;
}

@Resolver()
export class ChangesResolver {
  @Needs("READ")
  @Query(() => String, {
    description: "Where changes of the lists stand now: who reads lists after it, and follows `changes` from it on, misses nothing.",
  })
  async changesCursor(@Ctx() { store }: Context): Promise<string> {
    return cursorOf(await settledPosition(store.prisma));
  }

  @Needs("READ")
  @Subscription(() => Changes, {
    description:
      "What changes in the lists of runs, models, datasets and workers. The first message comes at once and says where one stands: read the lists after it, and nothing is missed. A client that was cut off passes the last `cursor` it saw. What changes often is told of up to ten times a second, as it is then.",
    complexity: listCost,
    subscribe: async ({ args: { after = null }, context: { store } }: { args: ChangesArgs; context: Context }) => {
      if (after !== null) await blaming("after", (async () => positionOf(after))());
      return cancellable((signal) => followChanges(store, after, signal));
    },
  })
  changes(
    @Root() { cursor, changes }: ChangeBatch,
    @Arg("after", () => String, { nullable: true, description: "Changes after this cursor; without it, those to come." }) _after?: string,
  ): object {
    const of = (subject: Change["subject"]) => changes.filter((change) => change.subject === subject);
    const records = (subject: Change["subject"]) => of(subject).map(({ record }) => record);
    const deletedIds = of("DELETION").map(({ id }) => id);
    return { cursor, runs: records("RUN"), models: records("MODEL"), datasets: records("DATASET"), workers: records("WORKER"), deletedIds };
  }
}
