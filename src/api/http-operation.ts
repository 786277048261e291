import type { IncomingHttpHeaders } from "node:http";
import type { FastifyRequest } from "fastify";
import { getOperationAST, type OperationTypeNode, parse } from "graphql";
import { EspalierError } from "../errors.ts";
import { isObject } from "../is-object.ts";
import { crossSite, senderOf } from "./forgery.ts";
import { limits } from "./limits.ts";
import type { OperationRequest } from "./operation.ts";

function parsed(json: unknown): unknown {
  try {
    return typeof json === "string" ? JSON.parse(json) : json;
  } catch {
    return json;
  }
}

/** The operation that a request asks for: in the query of a GET, in the body of a POST. Null where it asks for none. */
export function httpOperation({ method, query: search, body }: Pick<FastifyRequest, "method" | "query" | "body">): OperationRequest | null {
  const asked = method === "GET" ? search : body;
  if (!isObject(asked)) return null;
  const { query, operationName } = asked;
  const variables = method === "GET" ? parsed(asked["variables"]) : asked["variables"];
  const fits = typeof query === "string" && (variables == null || isObject(variables));
  if (!fits || (operationName != null && typeof operationName !== "string")) return null;
  return { query, variables: variables ?? null, operationName: operationName ?? null };
}

/** What kind of operation a request asks for; null where that cannot be told, which is for others to say. */
export function kindOf({ query, operationName }: OperationRequest): `${OperationTypeNode}` | null {
  try {
    return getOperationAST(parse(query, { maxTokens: limits.tokens, noLocation: true }), operationName)?.operation ?? null;
  } catch {
    return null;
  }
}

const accepted = ({ accept = "*/*" }: IncomingHttpHeaders): string[] =>
  accept.split(",").map((range) => (range.split(";")[0] as string).trim().toLowerCase());

const events = "text/event-stream";
const json: ReadonlySet<string> = new Set(["*/*", "application/*", "application/json", "application/graphql-response+json"]);

/** Whether the answer is to be a stream of events: a subscription's always; another's if it may not be JSON. */
export function wantsEvents(headers: IncomingHttpHeaders, kind: `${OperationTypeNode}` | null): boolean {
  const types = accepted(headers);
  return types.includes(events) && (kind === "subscription" || !types.some((type) => json.has(type)));
}

/**
 * Refuses an operation that HTTP's method or the reader of its answer is not for.
 *
 * @throws EspalierError METHOD_NOT_ALLOWED, CROSS_SITE_REQUEST, EVENT_STREAM_REQUIRED
 */
export function requireFitting({ method, headers }: Pick<FastifyRequest, "method" | "headers">, kind: `${OperationTypeNode}` | null): void {
  if (method === "GET" && kind === "mutation")
    throw new EspalierError("METHOD_NOT_ALLOWED", "mutations are sent by POST: a GET must have no effects");
  const sender = senderOf(method, headers);
  // Queries have no effects, and their answers are not shown to pages of other sites. Some subscriptions make the server compute.
  if (sender === "foreign" || (sender === "unknown" && kind === "subscription")) throw crossSite();
  if (kind === "subscription" && !wantsEvents(headers, kind))
    throw new EspalierError(
      "EVENT_STREAM_REQUIRED",
      `a subscription is answered with a stream of events: send the header Accept: ${events}, or subscribe over WebSocket (graphql-transport-ws) at the same path`,
    );
}
