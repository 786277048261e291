import { Ctx, Query, Resolver } from "type-graphql";
import { version } from "../../version.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { Viewer } from "../types/viewer.ts";

@Resolver()
export class ViewerResolver {
  @Needs("READ")
  @Query(() => Viewer, { description: "Whoever asks: for clients that offer only what may be done." })
  viewer(@Ctx() { caller: { role, token } }: Context): Viewer {
    return { role, tokenName: token?.name ?? null, serverVersion: version };
  }
}
