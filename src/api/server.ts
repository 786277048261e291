import { setMaxListeners } from "node:events";
import type { Logger } from "pino";
import { EspalierError } from "../errors.ts";
import { Access } from "./access.ts";
import { openApollo } from "./apollo.ts";
import { keepTrail } from "./audit-trail.ts";
import type { Services } from "./context.ts";
import { isLoopback } from "./cross-site.ts";
import { serveDashboard } from "./dashboard.ts";
import { EventStreams } from "./event-streams.ts";
import { serveGraphiql } from "./graphiql.ts";
import { serveGraphql } from "./graphql-route.ts";
import { serveHealth } from "./health.ts";
import { openApp } from "./http-app.ts";
import { serveHub } from "./hub/hub.ts";
import { limits } from "./limits.ts";
import { Metrics } from "./metrics.ts";
import { buildSchema } from "./schema.ts";
import { serveSockets } from "./sockets.ts";
import { StalledClients } from "./stalled-clients.ts";
import { Turns } from "./turns.ts";
import { serveUploads } from "./upload-route.ts";

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

/**
 * Serves the dashboard at `/`; the API, that is GraphQL over HTTP and WebSocket and GraphiQL, all at `/graphql`; and what monitors ask.
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
  const stalled = new StalledClients(stalledMs ?? limits.stalledMs, log);
  const metrics = new Metrics(services, stalled);
  const own = { ...services, access, metrics };
  const rules = { bound: host, hosts: allowedHosts, origins: allowedOrigins };
  const app = openApp(access, rules, { headersMs, requestMs }, log);
  const turns = new Turns();
  const sockets = serveSockets(app.server, schema, own, rules, log, stalled, turns);
  const streams = new EventStreams(schema, stalled, log, keepAliveMs ?? limits.keepAliveMs);
  let stopping = false;
  /** Aborts when those who still wait at `stop` have waited long enough. */
  const late = new AbortController();
  setMaxListeners(0, late.signal);
  const drain = async () => {
    stalled.close();
    streams.close();
    await sockets.close();
  };
  const apollo = openApollo(schema, app.server, graceMs, drain, log);
  await apollo.start();

  metrics.serve(app);
  serveHealth(
    app,
    () => services.store.answers(),
    () => stopping,
  );
  serveDashboard(app);
  serveGraphiql(app);
  serveHub(app, services);
  serveUploads(app, services);
  serveGraphql(app, own, { apollo, streams, stalled, turns, late: late.signal });

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
