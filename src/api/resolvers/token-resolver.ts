import { Arg, Args, Ctx, Mutation, Query, Resolver } from "type-graphql";
import { blaming } from "../../rules/validate.ts";
import { createToken, listTokens, revokeToken, type TokenRecord } from "../../store/tokens.ts";
import { pageCost } from "../complexity.ts";
import type { Context } from "../context.ts";
import { Needs } from "../needs.ts";
import { type Connection, connectionOf, PageArgs } from "../types/connection.ts";
import { AccessTokenConnection, CreateTokenInput, CreateTokenPayload, RevokeTokenInput, RevokeTokenPayload } from "../types/token.ts";

@Resolver()
export class TokenResolver {
  @Needs("ADMIN")
  @Query(() => AccessTokenConnection, {
    description: "The tokens there are, newest first; those that were withdrawn or have expired too.",
    complexity: pageCost,
  })
  tokens(@Args(() => PageArgs) page: PageArgs, @Ctx() { store }: Context): Promise<Connection<TokenRecord>> {
    return connectionOf(page, (request) => listTokens(store.prisma, request));
  }

  @Needs("ADMIN")
  @Mutation(() => CreateTokenPayload, { description: "Makes a token, and shows it this once." })
  createToken(
    @Arg("input", () => CreateTokenInput, { description: "Which token." }) { name, role, expiresAt }: CreateTokenInput,
    @Ctx() { store }: Context,
  ): Promise<CreateTokenPayload> {
    return createToken(store.prisma, { name, role, expiresAt: expiresAt ?? null });
  }

  @Needs("ADMIN")
  @Mutation(() => RevokeTokenPayload, {
    description: "Withdraws a token. What goes on in its name ends within seconds, open sockets too.",
  })
  async revokeToken(
    @Arg("input", () => RevokeTokenInput, { description: "Which token." }) { id }: RevokeTokenInput,
    @Ctx() { store, access }: Context,
  ): Promise<RevokeTokenPayload> {
    const token = await blaming("input.id", revokeToken(store.prisma, id));
    await access.recheck();
    return { token };
  }
}
