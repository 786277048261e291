import { mkdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "graphql-ws";
import { pino } from "pino";
import { WebSocket } from "ws";
import type { Services } from "../../src/api/context.ts";
import { type ServerOptions, startServer } from "../../src/api/server.ts";
import { ModelProcesses } from "../../src/compute/model-processes.ts";
import { readConfig, toldSettings } from "../../src/config.ts";
import { Queue } from "../../src/jobs/queue.ts";
import { startWorker } from "../../src/jobs/worker.ts";
import { modelRoot } from "./ahab.ts";
import { testDatabase } from "./database.ts";

export interface ApiError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions: Readonly<Record<string, unknown>>;
}

// biome-ignore lint/suspicious/noExplicitAny: tests read answers as they come
export type Answer = { readonly data?: any; readonly errors?: readonly ApiError[] };

export interface TestApi {
  readonly url: string;
  readonly services: Services;
  /** What has been logged, line by line. */
  readonly log: readonly string[];
  /** One operation over HTTP. */
  ask(query: string, variables?: Record<string, unknown>, token?: string): Promise<Answer>;
  /** One operation over HTTP that must succeed: its data. */
  // biome-ignore lint/suspicious/noExplicitAny: tests read answers as they come
  data(query: string, variables?: Record<string, unknown>): Promise<any>;
  /** A graphql-ws client of the test's own, closed with the API. */
  socket(token?: string): ReturnType<typeof createClient>;
  /** Stops the server, and nothing else yet. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** Where tests put files to register datasets from. */
const datasetRoot = join(tmpdir(), `espalier-datasets-${process.pid}`);

export interface TestApiOptions {
  readonly worker?: boolean;
  readonly modelRoot?: string;
  readonly logLevel?: string;
  readonly server?: ServerOptions;
  /** In place of what the database may be silent for. */
  readonly silenceMs?: number;
  /** Where models are imported from by the names of repositories. */
  readonly hub?: { readonly address: string | null; readonly token: string | null };
  readonly uploadBytes?: number;
}

/** What a request with a token, or without one, has among its headers or in a connection's parameters. */
export const bearing = (token: string | undefined): Record<string, string> => (token ? { authorization: `Bearer ${token}` } : {});

/** The whole server on a database of its own: API and, unless told otherwise, a worker, with real compute processes. */
export async function testApi({
  worker: works = true,
  modelRoot: root = modelRoot,
  logLevel = "warn",
  server: options = {},
  silenceMs,
  hub = { address: null, token: null },
  uploadBytes = 2 ** 30,
}: TestApiOptions = {}): Promise<TestApi> {
  const database = await testDatabase(silenceMs);
  await mkdir(datasetRoot, { recursive: true });
  const { store, dataDirectory } = database;
  const log: string[] = [];
  const logger = pino({ level: logLevel }, { write: (line) => void log.push(line) });
  const queue = await Queue.open(store, logger);
  const worker = works ? await startWorker(queue, { store, dataDirectory, modelRoot: root, hub, logger }) : null;
  const generators = new ModelProcesses();
  const services = {
    store,
    queue,
    generators,
    dataDirectory,
    modelRoot: root,
    datasetRoot,
    uploadBytes,
    hub,
    settings: toldSettings(readConfig({ DATABASE_URL: database.url })),
  };
  const server = await startServer(services, "127.0.0.1", 0, logger, options);
  const sockets: ReturnType<typeof createClient>[] = [];

  async function ask(query: string, variables = {}, token?: string): Promise<Answer> {
    const headers = { "content-type": "application/json", ...bearing(token) };
    const response = await fetch(server.url, { method: "POST", headers, body: JSON.stringify({ query, variables }) });
    return (await response.json()) as Answer;
  }
  return {
    url: server.url,
    services,
    log,
    ask,
    async data(query, variables) {
      const { data, errors } = await ask(query, variables);
      if (errors) throw new Error(JSON.stringify(errors, null, 2));
      return data;
    },
    socket(token) {
      const [url, connectionParams] = [server.url.replace("http", "ws"), bearing(token)];
      const client = createClient({ url, connectionParams, webSocketImpl: WebSocket, retryAttempts: 0, lazy: true });
      sockets.push(client);
      return client;
    },
    stop: () => server.stop(),
    async close() {
      for (const client of sockets) await client.dispose();
      await server.stop();
      await generators.close();
      await worker?.stop();
      await queue.close();
      await database.close();
      await rm(datasetRoot, { recursive: true, force: true });
    },
  };
}
