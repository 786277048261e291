import { Arg, Args, Ctx, ID, Query, Resolver } from "type-graphql";
import { requireAll } from "../../rules/validate.ts";
import { listFamily, type FamilyMember as Member } from "../../store/family.ts";
import { pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { type Connection, connectionOf, FamilyPageArgs } from "../types/connection.ts";
import { FamilyMemberConnection } from "../types/family.ts";

@Resolver()
export class FamilyResolver {
  @Needs("READ")
  @Query(() => FamilyMemberConnection, {
    description:
      "All models in short, oldest first, with what was measured of each: what a picture of the whole family is made of. Up to 500 a page; `models` tells more of each.",
    complexity: pageCost,
  })
  familyMembers(
    @Args(() => FamilyPageArgs) page: FamilyPageArgs,
    @Arg("ids", () => [ID], { nullable: true, description: "Only these, up to 500." }) ids: string[] | null,
    @Ctx() { store }: Context,
  ): Promise<Connection<Member>> {
    const { largest } = FamilyPageArgs;
    requireAll([["ids", ids === null || ids === undefined || ids.length <= largest, `must be at most ${largest}`]]);
    return connectionOf(page, (request) => listFamily(store.prisma, request, ids ?? null));
  }
}
