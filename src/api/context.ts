import type { EventEmitter } from "node:events";
import type { ModelProcesses } from "../compute/model-processes.ts";
import { EspalierError } from "../errors.ts";
import type { HubAccess } from "../jobs/import-source.ts";
import type { Queue } from "../jobs/queue.ts";
import type { Store } from "../store/store.ts";
import type { Access, Caller } from "./access.ts";
import type { Sender } from "./forgery.ts";
import { createLoaders, type Loaders } from "./loaders.ts";
import type { Metrics } from "./metrics.ts";
import type { Setting } from "./types/server-settings.ts";

/** What the API works with. */
export interface Services {
  readonly store: Store;
  readonly queue: Queue;
  readonly generators: ModelProcesses;
  readonly dataDirectory: string;
  readonly modelRoot: string;
  readonly datasetRoot: string;
  readonly hub: HubAccess;
  /** What one client may have sent and not yet made models of. */
  readonly uploadBytes: number;
  /** As administrators are told them. */
  readonly settings: readonly Setting[];
}

/** What one server works with beside. */
export interface ServerServices extends Services {
  readonly access: Access;
  readonly metrics: Metrics;
}

/** Where an operation comes from. */
export interface Origin {
  readonly caller: Caller;
  /** A socket, or over HTTP an address: tells clients apart that show no token. */
  readonly connection: string;
  /** The address of the client, or of the proxy before it. */
  readonly address: string;
  /** Who may have sent it. */
  readonly sender: Sender;
}

/** What the resolvers of one operation work with. */
export interface Context extends ServerServices, Origin {
  readonly loaders: Loaders;
  /** Aborts when the client has gone, or has lost its right. */
  readonly signal: AbortSignal;
  /** Who asks: a token, or without one a connection. What there is to share is shared out among clients. */
  readonly client: string;
  /** Of a subscription to a run: the last event that it was given. */
  progress?: { readonly runId: string; readonly sequence: number };
}

export const createContext = (services: ServerServices, signal: AbortSignal, origin: Origin): Context => ({
  ...services,
  ...origin,
  signal,
  client: origin.caller.token ? `token ${origin.caller.token.id}` : origin.connection,
  loaders: createLoaders(services.store.prisma),
});

/** What is to be done at the end of a right. A signal's own listeners are a list: taking each of thousands out of it would take seconds. */
const atEnd = new WeakMap<AbortSignal, Set<() => void>>();

function endings(ended: AbortSignal): Set<() => void> {
  const known = atEnd.get(ended);
  if (known) return known;
  const all = new Set<() => void>();
  atEnd.set(ended, all);
  ended.addEventListener("abort", () => {
    for (const lose of all) lose();
  });
  return all;
}

/**
 * Aborts when a response or a socket closes, or has closed, or a right ends. Nothing stays with the right, which may be used a million times.
 *
 * @param connections a response and what it goes over: one that has not had its turn never closes
 */
export function untilGone(connections: readonly EventEmitter[], isOpen: boolean, ended: AbortSignal): AbortSignal {
  const gone = new AbortController();
  const lose = () => gone.abort(ended.reason);
  const leave = () => {
    endings(ended).delete(lose);
    for (const connection of connections) connection.off("close", leave);
    gone.abort(new EspalierError("CLIENT_LEFT", "the client has gone"));
  };
  endings(ended).add(lose);
  for (const connection of connections) connection.once("close", leave);
  if (ended.aborted) lose();
  if (!isOpen) leave();
  return gone.signal;
}
