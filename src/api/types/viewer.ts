import { Field, ObjectType } from "type-graphql";
import type { AccessRole } from "../../store/tokens.ts";
import { accessRoleEnum } from "../enums.ts";

@ObjectType({ description: "Whoever asks, and what of." })
export class Viewer {
  @Field(() => accessRoleEnum, { description: "What the client may do. While the server is open, everything." })
  readonly role!: AccessRole;

  @Field(() => String, { nullable: true, description: "What the client's token is called; null while the server is open." })
  readonly tokenName!: string | null;

  @Field(() => String, { description: "The server's version." })
  readonly serverVersion!: string;
}
