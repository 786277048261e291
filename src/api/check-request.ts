import { type DocumentNode, type GraphQLError, type GraphQLSchema, type OperationDefinitionNode } from "graphql";
import { coerceVariables, type Variables } from "./coerce-variables.ts";
import { complexityOf } from "./complexity.ts";
import { exceeded, limits } from "./limits.ts";

/** An error if a document is too long to be read at all. */
export const tooLong = (query: string): GraphQLError | undefined =>
  query.length > limits.characters ? exceeded("characters", query.length) : undefined;

/** Why an operation that fits the schema is not carried out: its variables do not fit, or its answer could be too large. */
export function checkRequest(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Variables,
): readonly GraphQLError[] {
  const { coerced, errors } = coerceVariables(schema, operation, variables);
  if (errors.length > 0) return errors;
  const complexity = complexityOf(schema, document, operation, coerced);
  return complexity > limits.complexity ? [exceeded("complexity", complexity)] : [];
}
