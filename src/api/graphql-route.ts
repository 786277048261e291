import type { ApolloServer } from "@apollo/server";
import { fastifyApolloHandler } from "@as-integrations/fastify";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Caller } from "./access.ts";
import { tooLong } from "./check-request.ts";
import { type Context, createContext, type ServerServices } from "./context.ts";
import type { EventStreams } from "./event-streams.ts";
import { senderOf } from "./forgery.ts";
import { graphiqlPage, wantsPage } from "./graphiql.ts";
import { httpOperation, kindOf, requireFitting, wantsEvents } from "./http-operation.ts";
import { orAborted } from "./or-aborted.ts";
import type { StalledClients } from "./stalled-clients.ts";
import type { Turns } from "./turns.ts";

/** What answers operations, and what keeps clients from holding each other up. */
export interface Answering {
  /** Queries and mutations. */
  readonly apollo: ApolloServer<Context>;
  /** Subscriptions, as events. */
  readonly streams: EventStreams;
  readonly stalled: StalledClients;
  readonly turns: Turns;
  /** Aborts when those who still wait at the server's end have waited long enough. */
  readonly late: AbortSignal;
}

/** Whether a request to the API's own path comes from a browser's address bar. */
const isPage = ({ method, headers }: FastifyRequest): boolean => method === "GET" && wantsPage(headers.accept);

/** Serves GraphQL over HTTP at `/graphql`: GraphiQL to browsers, answers, and streams of events. */
export function serveGraphql(app: FastifyInstance, services: ServerServices, { apollo, streams, stalled, turns, late }: Answering): void {
  const contextOf = async (request: FastifyRequest) =>
    createContext(services, request.gone as AbortSignal, {
      caller: request.caller as Caller,
      connection: `http ${request.ip}`,
      address: request.ip,
      sender: senderOf(request.method, request.headers),
    });
  const handler = fastifyApolloHandler(apollo, { context: contextOf });
  app.route({
    url: "/graphql",
    method: ["GET", "POST"],
    // Whatever else an operation needs, its fields say.
    config: { needs: (request) => (isPage(request) ? null : "READ") },
    async handler(request, reply) {
      if (isPage(request)) return reply.headers(graphiqlPage.headers).send(graphiqlPage.body);
      await turns.next(request.raw.socket);
      // Nobody waits for it any more.
      if (request.gone?.aborted) return reply.hijack();
      const operation = httpOperation(request);
      const long = operation && tooLong(operation.query);
      if (long) throw long.originalError;
      const kind = operation && kindOf(operation);
      requireFitting(request, kind);
      if (!operation || !wantsEvents(request.headers, kind)) {
        const { raw } = reply;
        // One that waits for others on its connection has none yet, and is not to blame.
        const waiting = () => (raw.socket ? raw.writableLength : 0);
        stalled.watch(raw, { stream: request.raw.socket, waiting, cut: () => raw.destroy() });
        return orAborted(handler.call(this, request, reply) as Promise<unknown>, late);
      }
      const context = await contextOf(request);
      reply.hijack();
      return streams.answer(operation, context, reply.raw);
    },
  });
}
