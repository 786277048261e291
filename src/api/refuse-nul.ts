import { type GraphQLFieldResolver, type GraphQLSchema, isObjectType } from "graphql";
import { requireAll } from "./validate.ts";

/** Where in an argument a text holds the character NUL; null where none does. */
function nulIn(value: unknown, path: string): string | null {
  if (typeof value === "string") return value.includes("\0") ? path : null;
  if (typeof value !== "object" || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    const found = nulIn(inner, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`);
    if (found !== null) return found;
  }
  return null;
}

/** @throws EspalierError BAD_USER_INPUT naming the argument */
function requireText(args: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(args)) {
    const found = nulIn(value, name);
    if (found !== null) requireAll([[found, false, "must not hold the character NUL (U+0000)"]]);
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
