import { type DocumentNode, type GraphQLError, type GraphQLSchema, type OperationDefinitionNode } from "graphql";
import { coerceVariables, type Variables } from "./coerce-variables.ts";
import { complexityOf } from "./complexity.ts";
import { exceeded, limits } from "./limits.ts";

/** An error if a document is too long to be read at all. */
export const tooLong = (query: string): GraphQLError | undefined =>
  query.length > limits.characters ? exceeded("characters", query.length) : undefined;

/** Numbers, texts, lists and so on in some variables; beyond the limit it counts no further. */
function valuesIn(variables: Variables): number {
  let count = 0;
  const waiting: unknown[] = [variables];
  while (waiting.length > 0 && count <= limits.values) {
    const value = waiting.pop();
    if (typeof value !== "object" || value === null) continue;
    const inner = Object.values(value);
    count += inner.length;
    for (const item of inner) waiting.push(item);
  }
  return count;
}

/** Why an operation that fits the schema is not carried out: its variables are too many or do not fit, or its answer could be too large. */
export function checkRequest(
  schema: GraphQLSchema,
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Variables,
): readonly GraphQLError[] {
  const values = valuesIn(variables);
  if (values > limits.values) return [exceeded("values", values)];
  const { coerced, errors } = coerceVariables(schema, operation, variables);
  if (errors.length > 0) return errors;
  const complexity = complexityOf(schema, document, operation, coerced);
  return complexity > limits.complexity ? [exceeded("complexity", complexity)] : [];
}
