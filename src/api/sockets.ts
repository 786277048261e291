import { randomUUID } from "node:crypto";
import type { Server as HttpServer, IncomingMessage } from "node:http";
import { GraphQLError, type GraphQLSchema } from "graphql";
import { useServer as serve } from "graphql-ws/use/ws";
import type { Logger } from "pino";
import { WebSocket, WebSocketServer } from "ws";
import { EspalierError } from "../errors.ts";
import { createContext, type Services, untilClosed } from "./context.ts";
import { limits } from "./limits.ts";
import { perform, prepareOperation } from "./operation.ts";
import { presentGraphQLError } from "./present-error.ts";
import { StalledSockets } from "./stalled-sockets.ts";

/** Sockets that have not closed when asked to are cut after this long. */
const graceMs = 2000;

/** A client that does not answer a ping by the next is gone. One that is there and has stopped to read is told so before. */
const pingMs = 30_000;

/** Browsers let any page open a socket to any server, and say where the page is from: only our own pages may. */
function sameOrigin({ origin, req }: { readonly origin?: string; readonly req: IncomingMessage }): boolean {
  return !origin || (URL.canParse(origin) && new URL(origin).host === req.headers.host);
}

/** Serves graphql-ws at `/graphql`, within the same limits and with the same errors as over HTTP. */
export function serveSockets(
  http: HttpServer,
  schema: GraphQLSchema,
  services: Services,
  log: Logger,
  stalledMs: number = limits.stalledMs,
): { close(): Promise<void> } {
  const stalled = new StalledSockets(stalledMs, log);
  const sockets = new WebSocketServer({ noServer: true, path: "/graphql", maxPayload: limits.bytes, verifyClient: sameOrigin });
  http.on("upgrade", (request, stream, head) => {
    sockets.handleUpgrade(request, stream, head, (socket) => {
      stalled.watch(socket, stream);
      sockets.emit("connection", socket, request);
    });
  });
  const present = (errors: readonly GraphQLError[]) => errors.map((error) => presentGraphQLError(log, error));
  const server = serve<Record<string, unknown>, { closed: AbortSignal; client: string }>(
    {
      execute: perform,
      subscribe: perform,
      connectionInitWaitTimeout: 5000,
      onConnect: ({ extra }) => {
        extra.closed = untilClosed(extra.socket);
        extra.client = `socket ${randomUUID()}`;
      },
      onSubscribe: ({ subscriptions, extra }, id, { query, variables, operationName }) => {
        // The one that asks is counted.
        if (Object.keys(subscriptions).length > limits.subscriptionsPerSocket) return [tooMany()];
        const prepared = prepareOperation(schema, { query, variables, operationName });
        if (!("args" in prepared)) return prepared;
        const contextValue = createContext(services, extra.closed as AbortSignal, extra.client as string);
        stalled.operationsOf(extra.socket)?.set(id, contextValue);
        return { ...prepared.args, contextValue };
      },
      onComplete: ({ extra }, id) => void stalled.operationsOf(extra.socket)?.delete(id),
      // What cannot be sent because the client has gone is no fault of the server's, and there is nobody to be told.
      onError: ({ extra }, _id, _payload, errors) =>
        extra.socket.readyState === WebSocket.OPEN ? present(errors as readonly GraphQLError[]) : undefined,
      onNext: (_context, _id, _payload, _args, result) => (result.errors ? { ...result, errors: present(result.errors) } : undefined),
    },
    sockets,
    pingMs,
  );
  return {
    // Closes with 1001, at which clients connect again.
    async close() {
      stalled.close();
      const late = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
      }, graceMs);
      await server.dispose();
      clearTimeout(late);
    },
  };
}

function tooMany(): GraphQLError {
  const maximum = limits.subscriptionsPerSocket;
  const message = `a socket carries at most ${maximum} operations at once`;
  return new GraphQLError(message, {
    originalError: new EspalierError("REQUEST_TOO_LARGE", message, { limit: "subscriptionsPerSocket", maximum }),
  });
}
