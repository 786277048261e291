import { type GraphQLFieldResolver, type GraphQLSchema, isObjectType } from "graphql";
import { requireAll } from "../rules/validate.ts";

/** What is in no text, and is not stored as it is: PostgreSQL refuses NUL, and half of a surrogate pair becomes U+FFFD without a word. */
const noText = /\0|\p{Surrogate}/u;
const rule = "must hold neither the character NUL (U+0000) nor half of a surrogate pair (U+D800 to U+DFFF)";

/** Where in an argument a text holds it, from the inside out; null where none does. Made only where one is found. */
function placeIn(value: unknown): string[] | null {
  if (typeof value === "string") return noText.test(value) ? [] : null;
  if (typeof value !== "object" || value === null) return null;
  const isList = Array.isArray(value);
  for (const key in value) {
    const found = placeIn((value as Record<string, unknown>)[key]);
    if (found) return [...found, isList ? `[${key}]` : `.${key}`];
  }
  return null;
}

/** @throws EspalierError BAD_USER_INPUT naming the argument */
function requireText(args: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(args)) {
    const found = placeIn(value);
    if (found) requireAll([[`${name}${found.reverse().join("")}`, false, rule]]);
  }
}

const checked =
  <Resolver extends GraphQLFieldResolver<unknown, unknown>>(resolve: Resolver): GraphQLFieldResolver<unknown, unknown> =>
  (source, args, context, info) => {
    requireText(args);
    return resolve(source, args, context, info);
  };

/** Refuses what is no text, in whatever argument of whatever field. */
export function requireTexts(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap()))
    for (const field of isObjectType(type) ? Object.values(type.getFields()) : []) {
      // Of a subscription the arguments are looked at once, not at every event.
      if (field.subscribe) field.subscribe = checked(field.subscribe);
      else if (field.resolve && field.args.length > 0) field.resolve = checked(field.resolve);
    }
  return schema;
}
