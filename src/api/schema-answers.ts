import { type ApolloServerPlugin, HeaderMap } from "@apollo/server";
import { Kind, type OperationDefinitionNode } from "graphql";
import type { Context } from "./context.ts";

/** So many answers are kept, to documents of so many characters at most. */
const [mostAnswers, longestDocument] = [8, 20_000];

/** Whether all that is asked for is the schema itself, which is the same for everyone and does not change. */
const asksForSchemaAlone = ({ operation, variableDefinitions, selectionSet }: OperationDefinitionNode): boolean =>
  operation === "query" &&
  (variableDefinitions ?? []).length === 0 &&
  selectionSet.selections.every((s) => s.kind === Kind.FIELD && s.name.value.startsWith("__"));

/** Keeps what was told of the schema: working it out holds the server's thread for tens of milliseconds, and tools ask for it again and again. */
export function schemaAnswers(): ApolloServerPlugin<Context> {
  const answers = new Map<string, Record<string, unknown>>();
  const keyOf = (operation: OperationDefinitionNode | null | undefined, source: string): string | null =>
    operation && source.length <= longestDocument && asksForSchemaAlone(operation) ? `${operation.name?.value ?? ""} ${source}` : null;
  return {
    requestDidStart: async () => ({
      responseForOperation: async ({ operation, source }) => {
        const data = answers.get(keyOf(operation, source) ?? "");
        return data ? { http: { headers: new HeaderMap() }, body: { kind: "single", singleResult: { data } } } : null;
      },
      willSendResponse: async ({ operation, source, response: { body } }) => {
        const key = keyOf(operation, source ?? "");
        if (key === null || body.kind !== "single" || body.singleResult.errors || !body.singleResult.data) return;
        // Of those that are kept, the one that was worked out first goes.
        if (!answers.has(key) && answers.size === mostAnswers) answers.delete([...answers.keys()][0] as string);
        answers.set(key, body.singleResult.data);
      },
    }),
  };
}
