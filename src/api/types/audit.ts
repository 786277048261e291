import { Field, Float, ID, InputType, ObjectType } from "type-graphql";
import { dateTime } from "../scalars.ts";
import { connectionType } from "./connection.ts";
import { Node } from "./node.ts";

@ObjectType({ implements: Node, description: "A mutation that a client asked for." })
export class AuditEntry {
  @Field(() => ID, { description: "Its identity." })
  readonly id!: string;

  @Field(() => dateTime, { description: "When it came." })
  readonly startedAt!: Date;

  @Field(() => ID, { nullable: true, description: "The token that was shown; null while the server was open." })
  readonly tokenId!: string | null;

  @Field(() => String, { nullable: true, description: "What the token was called; null while the server was open." })
  readonly tokenName!: string | null;

  @Field(() => String, { description: "The address that it came from: of the client, or of the proxy before it." })
  readonly address!: string;

  @Field(() => String, { description: "The mutation's name." })
  readonly mutation!: string;

  @Field(() => String, { description: "Its arguments as JSON, without secrets; long texts and lists are cut." })
  readonly arguments!: string;

  @Field(() => String, {
    nullable: true,
    description: "`OK`, or the code of its error; null while it runs, and for good if the server died of it.",
  })
  readonly outcome!: string | null;

  @Field(() => [ID], { description: "What it made or changed." })
  readonly resultIds!: readonly string[];

  @Field(() => Float, { nullable: true, description: "How long it took; null while it runs." })
  readonly durationMs!: number | null;
}

export const AuditEntryConnection = connectionType(AuditEntry);

@InputType({ description: "Which entries of the audit trail to list." })
export class AuditFilter {
  @Field(() => ID, { nullable: true, description: "Those of this token." })
  readonly tokenId?: string | null;

  @Field(() => String, { nullable: true, description: "Those of the mutation of this name." })
  readonly mutation?: string | null;
}
