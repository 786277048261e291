import type { initGraphQLTada, ResultOf as TadaResult, VariablesOf as TadaVariables } from "gql.tada";
import type { introspection } from "../generated/introspection.d.ts";

/** A document's text; the types of its result and variables follow from schema.graphql, and cost nothing when the page runs. */
type Tada = initGraphQLTada<{
  introspection: introspection;
  disableMasking: true;
  scalars: { DateTime: string; BigInt: number };
}>;

interface Parts {
  readonly parts: ReadonlySet<string>;
}

/** Writes a document, with the fragments that it spreads as its second argument. */
export const graphql = ((text: string, fragments: readonly Parts[] = []): Parts => ({
  parts: new Set([text, ...fragments.flatMap(({ parts }) => [...parts])]),
})) as unknown as Tada;

export type ResultOf<Document> = TadaResult<Document>;
export type VariablesOf<Document> = TadaVariables<Document>;

/** What a function that sends a document takes. */
export interface Document<Result, Variables> {
  readonly __apiType?: (variables: Variables) => Result;
}

export const textOf = (document: unknown): string => [...(document as Parts).parts].join("\n");
