import { type GraphQLFieldResolver, type GraphQLSchema, isObjectType } from "graphql";
import { requireAll } from "../services/validate.ts";

/** Where in an argument a text holds the character NUL, from the inside out; null where none does. Made only where one is found. */
function nulIn(value: unknown): string[] | null {
  if (typeof value === "string") return value.includes("\0") ? [] : null;
  if (typeof value !== "object" || value === null) return null;
  const isList = Array.isArray(value);
  for (const key in value) {
    const found = nulIn((value as Record<string, unknown>)[key]);
    if (found) return [...found, isList ? `[${key}]` : `.${key}`];
  }
  return null;
}

/** @throws EspalierError BAD_USER_INPUT naming the argument */
function requireText(args: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(args)) {
    const found = nulIn(value);
    if (found) requireAll([[`${name}${found.reverse().join("")}`, false, "must not hold the character NUL (U+0000)"]]);
  }
}

const checked =
  <Resolver extends GraphQLFieldResolver<unknown, unknown>>(resolve: Resolver): GraphQLFieldResolver<unknown, unknown> =>
  (source, args, context, info) => {
    requireText(args);
    return resolve(source, args, context, info);
  };

/** Refuses texts that hold NUL, in whatever argument of whatever field: PostgreSQL cannot store it, and no text means it. */
export function refuseNul(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap()))
    for (const field of isObjectType(type) ? Object.values(type.getFields()) : []) {
      // Of a subscription the arguments are looked at once, not at every event.
      if (field.subscribe) field.subscribe = checked(field.subscribe);
      else if (field.resolve && field.args.length > 0) field.resolve = checked(field.resolve);
    }
  return schema;
}
