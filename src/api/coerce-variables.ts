import {
  type ASTNode,
  coerceInputValue,
  GraphQLError,
  type GraphQLSchema,
  isInputType,
  isNonNullType,
  type OperationDefinitionNode,
  typeFromAST,
  valueFromAST,
} from "graphql";
import { EspalierError } from "../errors.ts";
import { limits } from "./limits.ts";
import { shortened } from "./shortened.ts";

export type Variables = Readonly<Record<string, unknown>>;

/** Ends a coercion that has found enough. */
const enough = new Error("enough");

const shown = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return shortened(String(JSON.stringify(value)));
  return Array.isArray(value) ? "[...]" : "{...}";
};

/** What is longer than that is no slip of a name; to look for the name that was meant takes as long as the text. */
const longestName = 200;

const spelt = (path: readonly (string | number)[]): string =>
  path.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("");

interface Coercion {
  readonly coerced: Variables;
  readonly errors: readonly GraphQLError[];
}

/**
 * The variables of an operation as its resolvers see them, or what is wrong with them, in GraphQL's words. GraphQL's own function has
 * no end of errors, and each of them repeats the whole value: a request of 4 MB could fill the memory.
 *
 * @param operation one that fits the schema
 */
export function coerceVariables(schema: GraphQLSchema, operation: OperationDefinitionNode, given: Variables): Coercion {
  const { long, ...found } = coerced(schema, operation, given, false);
  // With the names that may have been meant: told of what is wrong only, and not of what has no name's length.
  return found.errors.length > 0 && !long ? coerced(schema, operation, given, true) : found;
}

/** @param suggest whether errors name what may have been meant */
function coerced(
  schema: GraphQLSchema,
  operation: OperationDefinitionNode,
  given: Variables,
  suggest: boolean,
): Coercion & { readonly long: boolean } {
  const errors: GraphQLError[] = [];
  let long = false;
  const refuse = (nodes: ASTNode, argument: string, message: string) => {
    errors.push(new GraphQLError(message, { nodes, originalError: new EspalierError("BAD_USER_INPUT", message, { argument }) }));
    if (errors.length >= limits.errors) throw enough;
  };
  const values: Record<string, unknown> = {};
  try {
    for (const definition of operation.variableDefinitions ?? []) {
      const { variable, defaultValue } = definition;
      const name = variable.name.value;
      const type = typeFromAST(schema, definition.type as never);
      if (!isInputType(type)) throw new TypeError(`the type of the variable $${name} is no input type`);
      if (Object.hasOwn(given, name) && (given[name] !== null || !isNonNullType(type)))
        values[name] = coerceInputValue(
          given[name],
          type,
          (path, value, { message }) => {
            long ||= message.length > longestName + 200 || (typeof value === "string" && value.length > longestName);
            const at = `${name}${spelt(path)}`;
            refuse(
              definition,
              at,
              `Variable "$${name}" got invalid value ${shown(value)}${path.length > 0 ? ` at "${at}"` : ""}; ${shortened(message)}`,
            );
          },
          !suggest,
        );
      else if (Object.hasOwn(given, name)) refuse(definition, name, `Variable "$${name}" of non-null type "${type}" must not be null.`);
      else if (defaultValue) values[name] = valueFromAST(defaultValue, type);
      else if (isNonNullType(type)) refuse(definition, name, `Variable "$${name}" of required type "${type}" was not provided.`);
    }
  } catch (error) {
    if (error !== enough) throw error;
  }
  return { coerced: values, errors, long };
}
