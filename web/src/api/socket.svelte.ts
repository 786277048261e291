import { type Client, createClient } from "graphql-ws";
import { failureOf } from "./ask.ts";
import { Failure } from "./failure.ts";
import { type Document, type ResultOf, textOf, type VariablesOf } from "./graphql.ts";
import { authorization, session } from "./session.svelte.ts";

/** Whether what is on the page is live. */
class Connection {
  state = $state<"idle" | "connecting" | "connected" | "lost">("idle");
  /** When it was lost, or null. */
  since = $state<number | null>(null);
}
export const connection = new Connection();

const forbidden = 4403;
const longestWaitMs = 5000;

let client: Client | null = null;
/** Ends a wait before the next attempt, as when the browser says that the network is back. */
let hurry: () => void = () => {};
addEventListener("online", () => hurry());

function open(): Client {
  const url = new URL("graphql", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  return createClient({
    url: url.href,
    connectionParams: authorization,
    keepAlive: 10_000,
    retryAttempts: Number.POSITIVE_INFINITY,
    shouldRetry: () => session.asks === null,
    retryWait: (retries) =>
      new Promise((resolve) => {
        hurry = resolve;
        setTimeout(resolve, Math.min(longestWaitMs, 200 * 2 ** retries) * (0.8 + Math.random() * 0.4));
      }),
    on: {
      connecting: () => {
        if (connection.state === "idle") connection.state = "connecting";
      },
      connected: () => Object.assign(connection, { state: "connected", since: null }),
      closed: (event) => {
        const { code } = event as CloseEvent;
        if (code === forbidden) session.lose("the token has expired or was withdrawn");
        // 1000: nobody listens any more, and the socket was closed for that.
        if (code === 1000) connection.state = "idle";
        else if (connection.state !== "lost") Object.assign(connection, { state: "lost", since: Date.now() });
      },
    },
  });
}

session.onLeave(() => {
  void client?.dispose();
  client = null;
  Object.assign(connection, { state: "idle", since: null });
});

export interface Listener<D> {
  next(data: ResultOf<D>): void;
  /** It ended by itself. */
  complete?(): void;
  /** The server refused it. A lost connection is no failure: it is made again. */
  failed(failure: Failure): void;
}

/**
 * Subscribes. After a lost connection it subscribes again, with the variables as they are then: those of a cursor go on from the last
 * that was seen.
 *
 * @returns ends it
 */
export function subscribe<D extends Document<unknown, never>>(
  document: D,
  variables: () => VariablesOf<D>,
  listener: Listener<D>,
): () => void {
  client ??= open();
  const payload = {
    query: textOf(document),
    // Read anew whenever graphql-ws sends it.
    get variables() {
      return variables() as Record<string, unknown>;
    },
  };
  return client.subscribe<ResultOf<D>>(payload, {
    next: ({ data, errors }) => {
      if (data) listener.next(data);
      else if (errors) listener.failed(failureOf(errors));
    },
    error: (error) => {
      if (Array.isArray(error)) listener.failed(failureOf(error as Parameters<typeof failureOf>[0]));
      else if (session.asks === null) listener.failed(new Failure("UNREACHABLE", "the connection was lost for good"));
    },
    complete: () => listener.complete?.(),
  });
}
