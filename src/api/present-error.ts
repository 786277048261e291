import { randomUUID } from "node:crypto";
import { GraphQLError, type GraphQLFormattedError } from "graphql";
import type { Logger } from "pino";
import { diskFull, EspalierError } from "../errors.ts";
import { isConnectionLoss } from "../store/reconnect.ts";
import { shortened, shortenedData } from "./shortened.ts";

/** What threw, behind the errors that wrap it. */
function rootOf(error: unknown): unknown {
  const cause = (error as { originalError?: unknown } | null)?.originalError;
  return cause ? rootOf(cause) : error;
}

function causeOf(error: unknown): unknown {
  const root = rootOf(error);
  return diskFull(root) ?? root;
}

/** The code that a client is told of what a resolver threw. */
export function codeOf(error: unknown): string {
  const cause = causeOf(error);
  if (cause instanceof EspalierError && cause.code !== "INTERNAL") return cause.code;
  return isConnectionLoss(cause) ? "DATABASE_UNAVAILABLE" : "INTERNAL_SERVER_ERROR";
}

/** A request that never ran: it does not parse, or does not fit the schema. */
function refused({ message, locations, extensions }: GraphQLFormattedError): GraphQLFormattedError {
  return {
    message: shortened(message),
    locations: locations?.slice(0, 10),
    extensions: { code: extensions?.["code"] ?? "GRAPHQL_VALIDATION_FAILED" },
  };
}

/**
 * What a client may know of an error. Errors with a code of ours, and those of the request itself, are told with their code and
 * the argument at fault; of any other only the id under which the log has it.
 */
export function presentError(log: Logger, formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError {
  const cause = causeOf(error);
  const { message, locations, path } = formatted;
  if (cause instanceof EspalierError && cause.code !== "INTERNAL")
    return {
      message: shortened(cause.message),
      locations,
      path,
      extensions: { ...(shortenedData(cause.details) as object), code: cause.code },
    };
  // GraphQL gives every error of a resolver the path of its field; Apollo marks its own accidents.
  if (cause instanceof GraphQLError && !path && formatted.extensions?.["code"] !== "INTERNAL_SERVER_ERROR") return refused(formatted);
  if (isConnectionLoss(cause)) {
    log.warn({ err: cause, path }, "the database is out of reach");
    return { message: "the database does not answer; try again later", locations, path, extensions: { code: "DATABASE_UNAVAILABLE" } };
  }
  const logId = randomUUID();
  log.error({ logId, err: cause, path }, message);
  return {
    message: `Something went wrong on the server; its log has it under ${logId}`,
    locations,
    path,
    extensions: { code: "INTERNAL_SERVER_ERROR", logId },
  };
}

/** The same for an error that has not been through Apollo. */
export const presentGraphQLError = (log: Logger, error: GraphQLError): GraphQLFormattedError => presentError(log, error.toJSON(), error);
