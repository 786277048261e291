import { Field, ID, ObjectType } from "type-graphql";
import type { AccessRole } from "../../store/tokens.ts";
import { accessRoleEnum } from "../enums.ts";
import { dateTime } from "../scalars.ts";

@ObjectType({ description: "Whoever asks, and what of." })
export class Viewer {
  @Field(() => accessRoleEnum, { description: "What the client may do. While the server is open, everything." })
  readonly role!: AccessRole;

  @Field(() => String, { nullable: true, description: "What the client's token is called; null while the server is open." })
  readonly tokenName!: string | null;

  @Field(() => ID, { nullable: true, description: "The identity of the client's token; null while the server is open." })
  readonly tokenId!: string | null;

  @Field(() => dateTime, { nullable: true, description: "When the client's token ends; null if it does not, or while the server is open." })
  readonly tokenExpiresAt!: Date | null;

  @Field(() => String, { description: "The server's version." })
  readonly serverVersion!: string;
}
