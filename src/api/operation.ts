import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
  type OperationTypeNode,
  parse,
  specifiedRules,
  subscribe,
  type ValidationRule,
  validate,
} from "graphql";
import { checkRequest, tooLong } from "./check-request.ts";
import { boundedOperations, limits } from "./limits.ts";
import { unconditionalSubscriptions } from "./unconditional-subscriptions.ts";

/** What a client asks for, over whichever transport. */
export interface OperationRequest {
  readonly query: string;
  readonly variables?: Readonly<Record<string, unknown>> | null | undefined;
  readonly operationName?: string | null | undefined;
}

export interface PreparedOperation {
  readonly kind: `${OperationTypeNode}`;
  readonly args: Omit<ExecutionArgs, "contextValue">;
}

/** What must hold of a document besides the rules of GraphQL. */
export const ownRules: readonly ValidationRule[] = [boundedOperations, unconditionalSubscriptions];

const notParsed = ({ message, source, positions }: GraphQLError): GraphQLError =>
  new GraphQLError(message, { source, positions, extensions: { code: "GRAPHQL_PARSE_FAILED" } });

/** Parses, validates and measures an operation: what passes may run. Apollo does the same for HTTP, with the same rules. */
export function prepareOperation(
  schema: GraphQLSchema,
  { query, variables, operationName }: OperationRequest,
): PreparedOperation | readonly GraphQLError[] {
  const long = tooLong(query);
  if (long) return [long];
  let document: DocumentNode;
  try {
    document = parse(query, { maxTokens: limits.tokens });
  } catch (error) {
    return [notParsed(error as GraphQLError)];
  }
  // Ours first: of GraphQL's own one throws where a condition of a subscription's root is a variable.
  for (const rules of [ownRules, specifiedRules]) {
    const errors = validate(schema, document, rules, { maxErrors: limits.errors });
    if (errors.length > 0) return errors;
  }
  const operation = getOperationAST(document, operationName);
  if (!operation) {
    const message = operationName
      ? `there is no operation called "${operationName}"`
      : "the document has several operations: say which by operationName";
    return [new GraphQLError(message, { extensions: { code: "OPERATION_RESOLUTION_FAILURE" } })];
  }
  const refusals = checkRequest(schema, document, operation, variables ?? {});
  if (refusals.length > 0) return refusals;
  return { kind: operation.operation, args: { schema, document, variableValues: variables ?? {}, operationName: operationName ?? null } };
}

/** Runs an operation. Whatever it throws is an error of its own result: the connection and what else it carries go on. */
export async function perform(args: ExecutionArgs): Promise<ExecutionResult | AsyncGenerator<ExecutionResult, void, void>> {
  const run = getOperationAST(args.document, args.operationName)?.operation === "subscription" ? subscribe : execute;
  try {
    return await run(args);
  } catch (error) {
    return { errors: [thrown(error)] };
  }
}

/** What was thrown, as an error of a result. */
export function thrown(error: unknown): GraphQLError {
  const originalError = error instanceof Error ? error : new Error(String(error));
  return new GraphQLError(originalError.message, { originalError });
}
