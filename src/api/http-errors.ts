import { STATUS_CODES } from "node:http";
import type { FastifyInstance, FastifyReply, FastifyServerOptions } from "fastify";
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
  MODEL_NOT_FOUND: 404,
  REVISION_NOT_FOUND: 404,
  FILE_NOT_FOUND: 404,
  UPLOAD_NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  EVENT_STREAM_REQUIRED: 406,
  BAD_USER_INPUT: 400,
  BAD_CONTENT_RANGE: 400,
  UPLOAD_BUSY: 409,
  UPLOAD_OUT_OF_PLACE: 409,
  UPLOAD_TOO_LARGE: 413,
  REQUEST_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
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
  431: "REQUEST_TOO_LARGE",
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
  app.setErrorHandler((error, request, reply) => {
    // The client has left before all it sent had come: there is nobody to be told, and a thousand may leave at once. A database that
    // is lost is told in the same words, to a client that waits.
    if ((error as NodeJS.ErrnoException).code === "ECONNRESET" && request.raw.socket.destroyed) return reply.hijack();
    const { status, body } = presentHttpError(log, error);
    if (status === 401) reply.header("www-authenticate", "Bearer");
    return reply.code(status).send(body);
  });
  app.setNotFoundHandler(({ method, url }) => {
    throw new EspalierError("NOT_FOUND", `there is nothing at ${method} ${url.split("?")[0]?.slice(0, 200)}`);
  });
}

/** What Node says of requests that it cannot read, and the status of each; of all others 400. */
const unreadable: Readonly<Record<string, number>> = { ERR_HTTP_REQUEST_TIMEOUT: 408, HPE_HEADER_OVERFLOW: 431 };

/** Answers in the same form what is no request at all, or is of no address: Fastify's handlers see neither. */
export const answerUnreadable = (log: Logger): Pick<FastifyServerOptions, "frameworkErrors" | "clientErrorHandler"> => ({
  frameworkErrors: (error, _request, reply) => {
    const { status, body } = presentHttpError(log, error);
    // Its type is of a route with a schema, and this is of none.
    (reply as unknown as FastifyReply).code(status).type("application/json; charset=utf-8").send(JSON.stringify(body));
  },
  clientErrorHandler: (error, socket) => {
    if (error.code === "ECONNRESET" || socket.destroyed) return;
    const statusCode = unreadable[error.code] ?? 400;
    const label = STATUS_CODES[statusCode] as string;
    const body = JSON.stringify(presentHttpError(log, Object.assign(new Error(label), { statusCode })).body);
    const head = `HTTP/1.1 ${statusCode} ${label}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${body.length}`;
    if (socket.writable) socket.write(`${head}\r\nConnection: close\r\n\r\n${body}`);
    socket.destroy(error);
  },
});
