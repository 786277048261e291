import type { EventEmitter } from "node:events";
import { EspalierError } from "../errors.ts";
import type { ModelProcesses } from "../jobs/model-processes.ts";
import type { Queue } from "../jobs/queue.ts";
import type { Store } from "../store/store.ts";
import { createLoaders, type Loaders } from "./loaders.ts";

/** What the API works with. */
export interface Services {
  readonly store: Store;
  readonly queue: Queue;
  readonly generators: ModelProcesses;
  readonly dataDirectory: string;
  readonly modelRoot: string;
  readonly datasetRoot: string;
}

/** What the resolvers of one operation work with. */
export interface Context extends Services {
  readonly loaders: Loaders;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
  /** Who asks: a socket, or over HTTP an address. What there is to share is shared out among clients. */
  readonly client: string;
  /** Of a subscription to a run: the last event that it was given. */
  progress?: { readonly runId: string; readonly sequence: number };
}

export const createContext = (services: Services, signal: AbortSignal, client: string): Context => ({
  ...services,
  signal,
  client,
  loaders: createLoaders(services.store.prisma),
});

/** Aborts when a response or a socket closes. */
export function untilClosed(connection: EventEmitter): AbortSignal {
  const closed = new AbortController();
  connection.once("close", () => closed.abort(new EspalierError("CLIENT_LEFT", "the client has gone")));
  return closed.signal;
}
