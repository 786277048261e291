import { Arg, Args, Ctx, Query, Resolver } from "type-graphql";
import { blaming } from "../../services/validate.ts";
import { type AuditRecord, listAudit } from "../../store/audit.ts";
import { pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { AuditEntryConnection, AuditFilter } from "../types/audit.ts";
import { type Connection, connect, PageArgs, pageRequest } from "../types/connection.ts";

@Resolver()
export class AuditResolver {
  @Needs("ADMIN")
  @Query(() => AuditEntryConnection, {
    description: "The mutations that clients asked for, newest first; those that were refused or failed too.",
    complexity: pageCost,
  })
  async auditTrail(
    @Args(() => PageArgs) page: PageArgs,
    @Arg("filter", () => AuditFilter, { defaultValue: {}, description: "Which ones." }) { tokenId, mutation }: AuditFilter,
    @Ctx() { store }: Context,
  ): Promise<Connection<AuditRecord>> {
    const filter = { tokenId: tokenId ?? undefined, mutation: mutation ?? undefined };
    return connect(await blaming("after", listAudit(store.prisma, pageRequest(page), filter)), ({ id }) => id);
  }
}
