import type { FastifyInstance } from "fastify";
import { GraphQLError, type GraphQLFormattedError } from "graphql";
import type { Logger } from "pino";
import { EspalierError } from "../errors.ts";
import { presentGraphQLError } from "./present-error.ts";

/** The status of what is refused before GraphQL sees it. */
const statuses: Readonly<Record<string, number>> = {
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  ORIGIN_NOT_ALLOWED: 403,
  CROSS_SITE_REQUEST: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  EVENT_STREAM_REQUIRED: 406,
  REQUEST_TOO_LARGE: 413,
  HOST_NOT_ALLOWED: 421,
  SERVER_STOPPING: 503,
  DATABASE_UNAVAILABLE: 503,
};

/** The codes of what Fastify refuses, by its status. */
const codes: Readonly<Record<number, string>> = {
  408: "REQUEST_TIMEOUT",
  413: "REQUEST_TOO_LARGE",
  414: "REQUEST_TOO_LARGE",
  415: "UNSUPPORTED_MEDIA_TYPE",
};

/** The error in GraphQL's form, and the status that it goes with. */
export function presentHttpError(
  log: Logger,
  error: unknown,
): { readonly status: number; readonly body: { errors: GraphQLFormattedError[] } } {
  const { statusCode = 500, message } = error as { readonly statusCode?: number; readonly message: string };
  const own =
    !(error instanceof EspalierError) && statusCode >= 400 && statusCode < 500
      ? new EspalierError(codes[statusCode] ?? "BAD_REQUEST", message)
      : (error as Error);
  const presented = presentGraphQLError(log, new GraphQLError(own.message, { originalError: own }));
  return { status: own === error ? (statuses[String(presented.extensions?.["code"])] ?? 500) : statusCode, body: { errors: [presented] } };
}

/** Answers whatever goes wrong around GraphQL in its form. */
export function answerErrors(app: FastifyInstance, log: Logger): void {
  app.setErrorHandler((error, _request, reply) => {
    const { status, body } = presentHttpError(log, error);
    if (status === 401) reply.header("www-authenticate", "Bearer");
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler(({ method, url }) => {
    throw new EspalierError("NOT_FOUND", `there is nothing at ${method} ${url.split("?")[0]?.slice(0, 200)}`);
  });
}
