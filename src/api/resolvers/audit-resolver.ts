import { Arg, Args, Ctx, Query, Resolver } from "type-graphql";
import { type AuditRecord, listAudit } from "../../store/audit.ts";
import { pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { given } from "../given.ts";
import { Needs } from "../needs.ts";
import { AuditEntryConnection, AuditFilter } from "../types/audit.ts";
import { type Connection, connectionOf, PageArgs } from "../types/connection.ts";

@Resolver()
export class AuditResolver {
  @Needs("ADMIN")
  @Query(() => AuditEntryConnection, {
    description: "The mutations that clients asked for, newest first; those that were refused or failed too.",
    complexity: pageCost,
  })
  auditTrail(
    @Args(() => PageArgs) page: PageArgs,
    @Arg("filter", () => AuditFilter, { defaultValue: {}, description: "Which ones." }) filter: AuditFilter,
    @Ctx() { store }: Context,
  ): Promise<Connection<AuditRecord>> {
    return connectionOf(page, (request) => listAudit(store.prisma, request, given(filter)));
  }
}
