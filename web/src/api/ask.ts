import { clock } from "../lib/clock.svelte.ts";
import { Failure, unreachable } from "./failure.ts";
import { type Document, type ResultOf, textOf, type VariablesOf } from "./graphql.ts";
import { authorization, session } from "./session.svelte.ts";

interface GraphqlError {
  readonly message: string;
  readonly extensions?: Readonly<Record<string, unknown>>;
}

export function failureOf(errors: readonly GraphqlError[]): Failure {
  const [{ message, extensions = {} } = { message: "the server gave no answer" }] = errors;
  const { code = "UNKNOWN", ...details } = extensions;
  return new Failure(String(code), message, details);
}

/**
 * Sends a query or mutation.
 *
 * @throws Failure what the server answered, or UNREACHABLE
 */
export async function ask<D extends Document<unknown, never>>(
  document: D,
  variables: VariablesOf<D>,
  signal?: AbortSignal,
): Promise<ResultOf<D>> {
  const sentAt = Date.now();
  const response = await fetch("graphql", {
    method: "POST",
    headers: { "content-type": "application/json", ...authorization() },
    body: JSON.stringify({ query: textOf(document), variables }),
    signal: signal ?? null,
  }).catch((error: unknown) => {
    throw signal?.aborted ? error : unreachable();
  });
  clock.hear(response.headers.get("date"), sentAt);
  const answer = (await response.json().catch(() => {
    throw unreachable();
  })) as { readonly data?: ResultOf<D>; readonly errors?: readonly GraphqlError[] };
  if (!answer.errors && answer.data) return answer.data;
  const failure = failureOf(answer.errors ?? []);
  if (failure.code === "UNAUTHENTICATED") session.lose(failure.message);
  throw failure;
}
