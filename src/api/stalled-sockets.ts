import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import type { WebSocket } from "ws";
import type { Context } from "./context.ts";

interface Watched {
  readonly stream: Duplex & { readonly bytesWritten?: number };
  /** By the client's id of each. */
  readonly operations: Map<string, Context>;
  /** Bytes that the client's side has taken, and when that last grew. */
  taken: number;
  since: number;
}

/** Try again later: clients of graphql-ws connect again. */
const tryAgainLater = 1013;
/** What fits beside the code when a socket is closed. */
const longestReason = 123;

/**
 * Cuts off clients that have stopped to read. What is sent waits until the client takes it, so one that takes nothing costs a
 * message or two of memory; but it need not do so for ever. The reason it is closed with names the sequences to go on from.
 */
export class StalledSockets {
  private readonly watched = new Map<WebSocket, Watched>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly stalledMs: number,
    private readonly log: Logger,
  ) {
    this.timer = setInterval(() => this.look(), Math.max(100, stalledMs / 10));
    this.timer.unref();
  }

  watch(socket: WebSocket, stream: Duplex): void {
    this.watched.set(socket, { stream, operations: new Map(), taken: 0, since: performance.now() });
    socket.once("close", () => this.watched.delete(socket));
  }

  /** The operations of a socket, whose progress is told if it is cut off. */
  operationsOf(socket: WebSocket): Map<string, Context> | undefined {
    return this.watched.get(socket)?.operations;
  }

  close(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    const now = performance.now();
    for (const [socket, watched] of this.watched) {
      const waiting = socket.bufferedAmount;
      const taken = (watched.stream.bytesWritten ?? 0) - waiting;
      if (waiting === 0 || taken > watched.taken) {
        watched.taken = taken;
        watched.since = now;
      } else if (now - watched.since >= this.stalledMs) {
        this.watched.delete(socket);
        const reason = reasonFor([...watched.operations.values()]);
        this.log.warn({ reason }, "cut off a client that has stopped to read");
        socket.close(tryAgainLater, reason);
      }
    }
  }
}

/** `{"code":"SUBSCRIBER_TOO_SLOW","after":{"<run>":123}}`, without the sequences where they do not fit. */
function reasonFor(operations: readonly Context[]): string {
  const after = Object.fromEntries(operations.flatMap(({ progress }) => (progress ? [[progress.runId, progress.sequence]] : [])));
  const whole = JSON.stringify({ code: "SUBSCRIBER_TOO_SLOW", after });
  return whole.length <= longestReason ? whole : JSON.stringify({ code: "SUBSCRIBER_TOO_SLOW" });
}
