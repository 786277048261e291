import { GraphQLError, GraphQLScalarType, Kind } from "graphql";
import { GraphQLBigInt, GraphQLDateTime } from "graphql-scalars";

/** A scalar with the address of what specifies it, for clients that look. */
const specified = (scalar: GraphQLScalarType, specifiedByURL: string, description: string): GraphQLScalarType =>
  new GraphQLScalarType({ ...scalar.toConfig(), specifiedByURL, description });

export const dateTime = specified(
  GraphQLDateTime,
  "https://scalars.graphql.org/andimarek/date-time",
  "A moment as RFC 3339 writes it, in UTC, e.g. `2026-11-26T10:15:30.000Z`.",
);

/** What is beyond is no number that JSON's readers keep as it is. */
function wholeNumber(value: unknown): number {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  throw new GraphQLError("BigInt must be a whole number below 2^53");
}

export const bigInt = specified(
  new GraphQLScalarType({
    ...GraphQLBigInt.toConfig(),
    parseValue: wholeNumber,
    parseLiteral: (node) => wholeNumber(node.kind === Kind.INT ? Number(node.value) : node.kind),
  }),
  "https://the-guild.dev/graphql/scalars/docs/scalars/big-int",
  "A whole number that may be larger than an Int. It is told as a number of JSON.",
);
