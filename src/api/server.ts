import { setMaxListeners } from "node:events";
import { ApolloServer, type ApolloServerPlugin, HeaderMap } from "@apollo/server";
import { ApolloServerPluginCacheControlDisabled, ApolloServerPluginLandingPageDisabled } from "@apollo/server/plugin/disabled";
import { ApolloServerPluginDrainHttpServer } from "@apollo/server/plugin/drainHttpServer";
import { fastifyApolloHandler } from "@as-integrations/fastify";
import Fastify, { type FastifyBaseLogger, type FastifyRequest, LogController } from "fastify";
import type { GraphQLSchema } from "graphql";
import type { Logger } from "pino";
import { EspalierError } from "../errors.ts";
import { Access, type Caller } from "./access.ts";
import { keepTrail } from "./audit-trail.ts";
import { checkRequest, tooLong } from "./check-request.ts";
import { compressAnswers } from "./compress.ts";
import { type Context, createContext, type Services } from "./context.ts";
import { isLoopback } from "./cross-site.ts";
import { EventStreams } from "./event-streams.ts";
import { senderOf } from "./forgery.ts";
import { graphiqlPage, serveGraphiql, wantsPage } from "./graphiql.ts";
import { guard } from "./guard.ts";
import { serveHealth } from "./health.ts";
import { answerErrors, answerUnreadable } from "./http-errors.ts";
import { httpOperation, kindOf, requireFitting, wantsEvents } from "./http-operation.ts";
import { serveHub } from "./hub/hub.ts";
import { hasTooManyValues } from "./json-values.ts";
import { exceeded, limits } from "./limits.ts";
import { ownRules } from "./operation.ts";
import { orAborted } from "./or-aborted.ts";
import { presentError, presentGraphQLError } from "./present-error.ts";
import { buildSchema } from "./schema.ts";
import { serveSockets } from "./sockets.ts";
import { StalledClients } from "./stalled-clients.ts";
import { Turns } from "./turns.ts";

export interface Server {
  /** Of the API, e.g. `http://127.0.0.1:4000/graphql`. */
  readonly url: string;
  /** Refuses new work, lets requests finish, answers those that do not with SERVER_STOPPING, and tells subscribers to connect again. */
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** Names that the server is called by, beside its address and those of the loopback interface. */
  readonly allowedHosts?: readonly string[];
  /** Pages of other origins that may use it. */
  readonly allowedOrigins?: readonly string[];
  /** Whether everybody may come in, as long as there is no token, although others than this machine reach it. */
  readonly open?: boolean;
  /** How often what is known of tokens is looked up again. */
  readonly recheckMs?: number;
  /** A subscriber that takes nothing for so long is cut off. */
  readonly stalledMs?: number;
  /** A stream of events says so often that it goes on. */
  readonly keepAliveMs?: number;
  /** Within which the headers of a request, and the whole of it, must have come. */
  readonly headersMs?: number;
  readonly requestMs?: number;
  /** Requests under way at `stop` may take this long to finish. */
  readonly graceMs?: number;
}

/** An answer that says that the server stops has so long to reach its client. */
const farewellMs = 2000;

/** Answers operations that are not to be carried out. */
const refusing = (schema: GraphQLSchema, log: Logger): ApolloServerPlugin<Context> => ({
  requestDidStart: async () => ({
    responseForOperation: async ({ document, operation, request }) => {
      // Apollo's types say that there always is one; where there is none, execution says so.
      const errors = operation ? checkRequest(schema, document, operation, request.variables ?? {}) : [];
      if (errors.length === 0) return null;
      const singleResult = { errors: errors.map((error) => presentGraphQLError(log, error)) };
      return { http: { status: 400, headers: new HeaderMap() }, body: { kind: "single", singleResult } };
    },
  }),
});

/** Whether a request to the API's own path comes from a browser's address bar. */
const isPage = ({ method, headers }: FastifyRequest): boolean => method === "GET" && wantsPage(headers.accept);

/**
 * Serves the API: GraphQL over HTTP and WebSocket and GraphiQL, all at `/graphql`, and what monitors ask.
 *
 * @throws EspalierError NO_TOKEN, CANNOT_LISTEN
 */
export async function startServer(
  services: Services,
  host: string,
  port: number,
  log: Logger,
  {
    allowedHosts = [],
    allowedOrigins = [],
    open = false,
    recheckMs,
    stalledMs,
    keepAliveMs,
    headersMs = limits.headersMs,
    requestMs = limits.requestMs,
    graceMs = limits.graceMs,
  }: ServerOptions = {},
): Promise<Server> {
  const schema = buildSchema();
  keepTrail(schema, log);
  const access = await Access.open(services.store.prisma, open || isLoopback(host), log, recheckMs);
  const own = { ...services, access };
  const rules = { bound: host, hosts: allowedHosts, origins: allowedOrigins };
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bytes,
    requestTimeout: requestMs,
    http: { headersTimeout: headersMs, connectionsCheckingInterval: Math.min(1000, headersMs) },
    forceCloseConnections: "idle",
    ...answerUnreadable(log),
  });
  // Each request that is on its way over a connection listens for its end.
  app.server.on("connection", (socket) => socket.setMaxListeners(0));
  answerErrors(app, log);
  guard(app, rules, access);
  compressAnswers(app);
  app.addHook("preParsing", async ({ headers: { "content-encoding": coding = "identity" } }) => {
    if (coding.trim().toLowerCase() === "identity") return;
    const rule = "send the body as it is, without a Content-Encoding";
    throw new EspalierError("UNSUPPORTED_MEDIA_TYPE", `${rule}: ${JSON.stringify(coding.slice(0, 100))} is not taken`);
  });
  // JSON only: browsers send plain text for pages of other sites unasked.
  app.removeAllContentTypeParsers();
  const parseJson = app.getDefaultJsonParser("error", "error");
  app.addContentTypeParser("application/json", { parseAs: "buffer" }, (request, body: Buffer, done) => {
    if (hasTooManyValues(body)) done(exceeded("values", limits.values + 1).originalError as Error);
    else parseJson(request, body.toString(), done);
  });
  const stalled = new StalledClients(stalledMs ?? limits.stalledMs, log);
  const turns = new Turns();
  const sockets = serveSockets(app.server, schema, own, rules, log, stalled, turns);
  const streams = new EventStreams(schema, stalled, log, keepAliveMs ?? limits.keepAliveMs);
  let stopping = false;
  /** Aborts when those who still wait at `stop` have waited long enough. */
  const late = new AbortController();
  setMaxListeners(0, late.signal);
  const close = async () => {
    stalled.close();
    streams.close();
    await sockets.close();
  };

  const apollo = new ApolloServer<Context>({
    schema,
    introspection: true,
    // `requireFitting` sees to it: Apollo's own refuses every GET without a header of its liking.
    csrfPrevention: false,
    allowBatchedHttpRequests: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    persistedQueries: false,
    parseOptions: { maxTokens: limits.tokens },
    validationRules: [...ownRules],
    validationOptions: { maxErrors: limits.errors },
    formatError: (formatted, error) => presentError(log, formatted, error),
    logger: log,
    plugins: [
      refusing(schema, log),
      ApolloServerPluginDrainHttpServer({ httpServer: app.server, stopGracePeriodMillis: graceMs + farewellMs }),
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      { serverWillStart: async () => ({ drainServer: close }) },
    ],
  });
  await apollo.start();

  serveHealth(
    app,
    () => services.store.answers(),
    () => stopping,
  );
  serveGraphiql(app);
  serveHub(app, services);
  const contextOf = async (request: FastifyRequest) =>
    createContext(own, request.gone as AbortSignal, {
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
        return orAborted(handler.call(this, request, reply) as Promise<unknown>, late.signal);
      }
      const context = await contextOf(request);
      reply.hijack();
      return streams.answer(operation, context, reply.raw);
    },
  });

  const address = await app.listen({ host, port }).catch((cause: Error) => {
    throw new EspalierError(
      "CANNOT_LISTEN",
      `cannot listen on ${host}, port ${port}: ${cause.message}; HOST and PORT say where else to`,
      { host, port },
      { cause },
    );
  });
  return {
    url: `${address}/graphql`,
    async stop() {
      stopping = true;
      const answered = setTimeout(() => late.abort(new EspalierError("SERVER_STOPPING", "the server stops: ask again")), graceMs);
      await apollo.stop();
      clearTimeout(answered);
      await app.close();
      access.close();
    },
  };
}
