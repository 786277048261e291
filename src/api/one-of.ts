import { type GraphQLSchema, isInputObjectType } from "graphql";
import { Extensions } from "type-graphql";
import { given } from "./given.ts";

/** Says of an input type that exactly one of its fields must be given. Its fields are nullable, without defaults. */
export const OneOf = (): ClassDecorator => Extensions({ oneOf: true }) as ClassDecorator;

/** Makes the types that say so `@oneOf` types of GraphQL, which type-graphql does not know: a request is then checked by GraphQL itself. */
export function markOneOf(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap())) if (isInputObjectType(type) && type.extensions["oneOf"]) type.isOneOf = true;
  return schema;
}

type Given<Input> = { readonly [Name in keyof Input]-?: NonNullable<Input[Name]> };
type Chosen<Input> = { [Name in keyof Input]-?: Pick<Given<Input>, Name> }[keyof Input];

/** The one field of a `@oneOf` input that was given, alone. */
export const chosenOf = <Input extends object>(input: Input): Chosen<Input> => given(input) as Chosen<Input>;
