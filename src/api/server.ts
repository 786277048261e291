import { ApolloServer, type ApolloServerPlugin } from "@apollo/server";
import { ApolloServerPluginCacheControlDisabled, ApolloServerPluginLandingPageDisabled } from "@apollo/server/plugin/disabled";
import { ApolloServerPluginDrainHttpServer } from "@apollo/server/plugin/drainHttpServer";
import { fastifyApolloHandler } from "@as-integrations/fastify";
import Fastify, { type FastifyBaseLogger, LogController } from "fastify";
import type { GraphQLSchema } from "graphql";
import type { Logger } from "pino";
import { EspalierError } from "../errors.ts";
import { type Context, createContext, type Services, untilClosed } from "./context.ts";
import { graphiqlPage, serveGraphiql, wantsPage } from "./graphiql.ts";
import { limits, tooComplex } from "./limits.ts";
import { ownRules } from "./operation.ts";
import { presentError } from "./present-error.ts";
import { buildSchema } from "./schema.ts";
import { serveSockets } from "./sockets.ts";

export interface Server {
  /** Of the API, e.g. `http://127.0.0.1:4000/graphql`. */
  readonly url: string;
  /** Refuses new work, lets requests finish, and tells subscribers to connect again. */
  stop(): Promise<void>;
}

/** Requests under way at `stop` may take this long to finish. */
const graceMs = 5000;

const complexityLimit = (schema: GraphQLSchema): ApolloServerPlugin<Context> => ({
  requestDidStart: async () => ({
    didResolveOperation: async ({ document, request, operationName }) => {
      const error = tooComplex(schema, document, request.variables, operationName);
      if (error) throw error;
    },
  }),
});

/**
 * Serves the API: GraphQL over HTTP and WebSocket and GraphiQL, all at `/graphql`, and `/healthz`.
 *
 * @throws EspalierError CANNOT_LISTEN
 */
export async function startServer(
  services: Services,
  host: string,
  port: number,
  log: Logger,
  { stalledMs }: { readonly stalledMs?: number } = {},
): Promise<Server> {
  const schema = buildSchema();
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: limits.bytes,
    forceCloseConnections: "idle",
  });
  const sockets = serveSockets(app.server, schema, services, log, stalledMs);
  let ready = true;

  const apollo = new ApolloServer<Context>({
    schema,
    introspection: true,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    includeStacktraceInErrorResponses: false,
    stopOnTerminationSignals: false,
    persistedQueries: false,
    parseOptions: { maxTokens: limits.tokens },
    validationRules: [...ownRules],
    formatError: (formatted, error) => presentError(log, formatted, error),
    logger: log,
    plugins: [
      complexityLimit(schema),
      ApolloServerPluginDrainHttpServer({ httpServer: app.server, stopGracePeriodMillis: graceMs }),
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      { serverWillStart: async () => ({ drainServer: () => sockets.close() }) },
    ],
  });
  await apollo.start();

  app.get("/healthz", (_request, reply) => reply.code(ready ? 200 : 503).send({ ready }));
  serveGraphiql(app);
  const handler = fastifyApolloHandler(apollo, {
    context: async (request, reply) => createContext(services, untilClosed(reply.raw), `http ${request.ip}`),
  });
  app.route({
    url: "/graphql",
    method: ["GET", "POST"],
    handler(request, reply) {
      const isPage = request.method === "GET" && wantsPage(request.headers.accept);
      return isPage ? reply.headers(graphiqlPage.headers).send(graphiqlPage.body) : handler.call(this, request, reply);
    },
  });

  const address = await app.listen({ host, port }).catch((cause: Error) => {
    throw new EspalierError("CANNOT_LISTEN", `cannot listen on ${host}, port ${port}: ${cause.message}`, { host, port }, { cause });
  });
  return {
    url: `${address}/graphql`,
    async stop() {
      ready = false;
      await apollo.stop();
      await app.close();
    },
  };
}
