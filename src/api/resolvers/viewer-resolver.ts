import { Ctx, Query, Resolver } from "type-graphql";
import { anyToken } from "../../store/tokens.ts";
import { version } from "../../version.ts";
import type { Context } from "../context.ts";
import { limits } from "../limits.ts";
import { Needs } from "../needs.ts";
import { ServerSettings } from "../types/server-settings.ts";
import { Viewer } from "../types/viewer.ts";

@Resolver()
export class ViewerResolver {
  @Needs("READ")
  @Query(() => Viewer, { description: "Whoever asks: for clients that offer only what may be done." })
  viewer(@Ctx() { caller: { role, token } }: Context): Viewer {
    return {
      role,
      tokenId: token?.id ?? null,
      tokenName: token?.name ?? null,
      tokenExpiresAt: token?.expiresAt ?? null,
      serverVersion: version,
    };
  }

  @Needs("ADMIN")
  @Query(() => ServerSettings, { description: "How the server that answers is set up, without secrets." })
  async serverSettings(@Ctx() { store, settings }: Context): Promise<ServerSettings> {
    return {
      isOpen: !(await anyToken(store.prisma)),
      startedAt: new Date(Date.now() - process.uptime() * 1000),
      nodeVersion: process.version,
      settings,
      limits: Object.entries(limits).map(([name, value]) => ({ name, value })),
    };
  }
}
