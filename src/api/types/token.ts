import { Field, ID, InputType, ObjectType } from "type-graphql";
import type { AccessRole } from "../../store/tokens.ts";
import { accessRoleEnum } from "../enums.ts";
import { dateTime } from "../scalars.ts";
import { connectionType } from "./connection.ts";
import { Node } from "./node.ts";

@ObjectType({ implements: Node, description: "What a client shows to be let in. The token itself is kept nowhere." })
export class AccessToken {
  @Field(() => ID, { description: "Its identity, which is no secret." })
  readonly id!: string;

  @Field(() => String, { description: "What it is called." })
  readonly name!: string;

  @Field(() => accessRoleEnum, { description: "What its bearer may do." })
  readonly role!: AccessRole;

  @Field(() => dateTime, { description: "When it was made." })
  readonly createdAt!: Date;

  @Field(() => dateTime, { nullable: true, description: "When it ends; null if it does not." })
  readonly expiresAt!: Date | null;

  @Field(() => dateTime, { nullable: true, description: "When it was withdrawn; null if it was not." })
  readonly revokedAt!: Date | null;
}

export const AccessTokenConnection = connectionType(AccessToken);

@ObjectType({ description: "What `createToken` gives." })
export class CreateTokenPayload {
  @Field(() => AccessToken, { description: "What is kept of it." })
  readonly token!: AccessToken;

  @Field(() => String, { description: "The token itself, which is shown this once." })
  readonly secret!: string;
}

@InputType({ description: "Which token to make." })
export class CreateTokenInput {
  @Field(() => String, { description: "What to call it, 1 to 200 characters: for whom or for what it is." })
  readonly name!: string;

  @Field(() => accessRoleEnum, { description: "What its bearer may do." })
  readonly role!: AccessRole;

  @Field(() => dateTime, { nullable: true, description: "When it ends. Without it, only by `revokeToken`." })
  readonly expiresAt?: Date | null;
}

@InputType({ description: "Which token to withdraw." })
export class RevokeTokenInput {
  @Field(() => ID, { description: "The token's identity." })
  readonly id!: string;
}

@ObjectType({ description: "What `revokeToken` gives." })
export class RevokeTokenPayload {
  @Field(() => AccessToken, { description: "The token, withdrawn now or before." })
  readonly token!: AccessToken;
}
