import { randomUUID } from "node:crypto";
import type { Server as HttpServer } from "node:http";
import { GraphQLError, type GraphQLSchema } from "graphql";
import { CloseCode } from "graphql-ws";
import { useServer as serve } from "graphql-ws/use/ws";
import type { Logger } from "pino";
import { type VerifyClientCallbackAsync, WebSocket, WebSocketServer } from "ws";
import { EspalierError } from "../errors.ts";
import { BoundedSocket } from "./bounded-socket.ts";
import { createContext, type Origin, type ServerServices, untilGone } from "./context.ts";
import { requireAllowedSite, type SiteRules } from "./cross-site.ts";
import { presentHttpError } from "./http-errors.ts";
import { limits } from "./limits.ts";
import { perform, prepareOperation } from "./operation.ts";
import { presentGraphQLError } from "./present-error.ts";
import type { StalledClients, TooSlow } from "./stalled-clients.ts";
import type { Turns } from "./turns.ts";

/** Sockets that have not closed when asked to are cut after this long. */
const graceMs = 2000;

/** A client that does not answer a ping by the next is gone. One that is there and has stopped to read is told so before. */
const pingMs = 30_000;

/** Try again later: clients of graphql-ws connect again. */
const tryAgainLater = 1013;
/** Characters: what fits beside the code when a socket is closed. */
const longestReason = 123;

/** `{"code":"SUBSCRIBER_TOO_SLOW","after":{"<run>":123}}`, without the sequences where they do not fit. */
function closeReason({ code, after }: TooSlow): string {
  const whole = JSON.stringify({ code, after });
  return whole.length <= longestReason ? whole : JSON.stringify({ code });
}
/** What graphql-ws closes a socket with that was sent what is no message. */
const badRequest = 4400;

/** What is known of a socket. */
interface Extra {
  readonly gone: AbortSignal;
  readonly origin: Origin;
}

/** Takes sockets at `/graphql` from sites that are allowed, one message a turn, and cuts those off that take no answers. */
function acceptSockets(http: HttpServer, rules: SiteRules, log: Logger, stalled: StalledClients): WebSocketServer {
  // Browsers let any page open a socket to any server, and say where the page is from.
  const verifyClient: VerifyClientCallbackAsync = ({ req }, answer) => {
    try {
      requireAllowedSite(req.headers, rules);
      answer(true);
    } catch (error) {
      const { status, body } = presentHttpError(log, error);
      answer(false, status, JSON.stringify(body), { "content-type": "application/json; charset=utf-8" });
    }
  };
  const sockets = new WebSocketServer({
    noServer: true,
    WebSocket: BoundedSocket,
    path: "/graphql",
    maxPayload: limits.bytes,
    // One message a turn: else a thousand operations that come in one piece are worked off before anybody else is heard.
    allowSynchronousEvents: false,
    verifyClient,
  });
  http.on("upgrade", (request, stream, head) => {
    sockets.handleUpgrade(request, stream, head, (socket) => {
      const cut = (reason: TooSlow) => socket.close(tryAgainLater, closeReason(reason));
      stalled.watch(socket, { stream, waiting: () => socket.bufferedAmount, cut });
      sockets.emit("connection", socket, request);
      // In place of graphql-ws's own, which prints each as an internal error. The socket is closed with the reason all the same.
      socket.removeAllListeners("error").on("error", (error) => log.info({ reason: error.message }, "a socket broke the protocol"));
      // One that asks on and takes no answers is not read on.
      socket.on("message", () => socket.bufferedAmount > limits.unreadBytes && socket.pause());
      stream.on("drain", () => socket.resume());
    });
  });
  return sockets;
}

/** Serves graphql-ws at `/graphql`, within the same limits and with the same errors as over HTTP. */
export function serveSockets(
  http: HttpServer,
  schema: GraphQLSchema,
  services: ServerServices,
  rules: SiteRules,
  log: Logger,
  stalled: StalledClients,
  turns: Turns,
): { close(): Promise<void> } {
  const sockets = acceptSockets(http, rules, log, stalled);
  const present = (errors: readonly GraphQLError[]) => errors.map((error) => presentGraphQLError(log, error));
  const server = serve<Record<string, unknown>, Partial<Extra>>(
    {
      execute: perform,
      subscribe: perform,
      connectionInitWaitTimeout: 5000,
      onConnect: async ({ connectionParams, extra }) => {
        const { socket, request } = extra;
        try {
          // They are kept for as long as the socket is open.
          if (JSON.stringify(connectionParams ?? {}).length > limits.connectionParameters) return false;
          const caller = await services.access.identify(shownToken(connectionParams));
          const address = request.socket.remoteAddress ?? "unknown";
          const gone = untilGone([socket], socket.readyState === WebSocket.OPEN, caller.ended);
          Object.assign(extra, { gone, origin: { caller, connection: `socket ${randomUUID()}`, address, sender: "own" } } satisfies Extra);
          // When its right has ended: what is closed needs no reason to be.
          gone.addEventListener("abort", () => caller.ended.aborted && closeFor(log, socket, gone.reason));
          return true;
        } catch (error) {
          closeFor(log, socket, error);
          return false;
        }
      },
      onSubscribe: async ({ subscriptions, extra }, id, { query, variables, operationName }) => {
        // Every message about the operation repeats it.
        if (id.length > limits.idLength) extra.socket.close(badRequest, `An id has at most ${limits.idLength} characters`);
        // The one that asks is counted.
        if (Object.keys(subscriptions).length > limits.subscriptionsPerSocket) return [tooMany()];
        await turns.next(extra.socket);
        const prepared = prepareOperation(schema, { query, variables, operationName });
        if (!("args" in prepared)) return prepared;
        const contextValue = createContext(services, extra.gone as AbortSignal, extra.origin as Origin);
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
      const late = setTimeout(() => {
        for (const socket of sockets.clients) socket.terminate();
      }, graceMs);
      await server.dispose();
      clearTimeout(late);
    },
  };
}

/** What a client shows when it connects: `{ authorization: "Bearer esp_..." }`, in any case, as a header would be. */
function shownToken(parameters: Readonly<Record<string, unknown>> | undefined): string | undefined {
  const [, shown] = Object.entries(parameters ?? {}).find(([name]) => name.toLowerCase() === "authorization") ?? [];
  return typeof shown === "string" ? shown : undefined;
}

/** Closes with what graphql-ws calls Forbidden, at which a client may come back with another token; or as one that may try again later. */
function closeFor(log: Logger, socket: WebSocket, error: unknown): void {
  const { code } = presentGraphQLError(log, new GraphQLError("no access", { originalError: error as Error })).extensions ?? {};
  socket.close(code === "UNAUTHENTICATED" ? CloseCode.Forbidden : tryAgainLater, JSON.stringify({ code }));
}

function tooMany(): GraphQLError {
  const maximum = limits.subscriptionsPerSocket;
  const message = `a socket carries at most ${maximum} operations at once`;
  return new GraphQLError(message, {
    originalError: new EspalierError("REQUEST_TOO_LARGE", message, { limit: "subscriptionsPerSocket", maximum }),
  });
}
