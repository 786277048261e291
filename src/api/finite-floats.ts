import { defaultFieldResolver, type GraphQLOutputType, type GraphQLSchema, isListType, isNonNullType, isObjectType } from "graphql";

const finite = (value: unknown): unknown => (typeof value === "number" && !Number.isFinite(value) ? null : value);

/** What turns the value of a field of a type into one that GraphQL can tell; null where there is nothing to turn. */
function turning(type: GraphQLOutputType): ((value: unknown) => unknown) | null {
  if (isNonNullType(type)) {
    const inner = type.ofType;
    return isListType(inner) ? turning(inner) : null;
  }
  if (!isListType(type)) return String(type) === "Float" ? finite : null;
  const turn = turning(type.ofType);
  return turn && ((values) => (Array.isArray(values) ? values.map(turn) : values));
}

/**
 * Gives null for what is not a number or infinite, in every field that may be null: GraphQL knows only finite numbers, and one
 * that a model or an earlier version left behind must not make every list that holds it fail.
 */
export function finiteFloats(schema: GraphQLSchema): GraphQLSchema {
  for (const type of Object.values(schema.getTypeMap()))
    for (const field of isObjectType(type) ? Object.values(type.getFields()) : []) {
      const turn = turning(field.type);
      if (!turn) continue;
      const { resolve = defaultFieldResolver } = field;
      field.resolve = async (source, args, context, info) => turn(await resolve(source, args, context, info));
    }
  return schema;
}
