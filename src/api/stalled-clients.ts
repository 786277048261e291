import type { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import type { Context } from "./context.ts";

/** What a client reads from: a socket, or the response to a request. */
interface Channel {
  readonly stream: Duplex & { readonly bytesWritten?: number };
  /** Bytes that were written and that the client's side has not taken. */
  waiting(): number;
  /** Ends it, and says why as soon as the client reads on. */
  cut(reason: TooSlow): void;
}

/** Why a client was cut off, and of each run that it followed the sequence to go on after. */
export interface TooSlow {
  readonly code: "SUBSCRIBER_TOO_SLOW";
  readonly after: Readonly<Record<string, number>>;
}

interface Watched extends Channel {
  /** By the client's id of each. */
  readonly operations: Map<string, Context>;
  /** Bytes that the client's side has taken, and when that last grew. */
  taken: number;
  since: number;
}

/**
 * Cuts off clients that have stopped to read. What is sent waits until the client takes it, so one that takes nothing costs a
 * message or two of memory; but it need not do so for ever. The reason it is closed with names the sequences to go on from.
 */
export class StalledClients {
  private readonly watched = new Map<EventEmitter, Watched>();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly stalledMs: number,
    private readonly log: Logger,
  ) {
    this.timer = setInterval(() => this.look(), Math.max(100, stalledMs / 10));
    this.timer.unref();
  }

  /** Watches a client's channel until its connection closes: an answer that waited for others on its stream is closed with that only. */
  watch(connection: EventEmitter, channel: Channel): void {
    if (channel.stream.destroyed) return;
    this.watched.set(connection, { ...channel, operations: new Map(), taken: 0, since: performance.now() });
    const closed = () => {
      this.watched.delete(connection);
      for (const emitter of [connection, channel.stream]) emitter.off("close", closed);
    };
    for (const emitter of [connection, channel.stream]) emitter.once("close", closed);
  }

  /** The operations that a connection carries, whose progress is told if it is cut off. */
  operationsOf(connection: EventEmitter): Map<string, Context> | undefined {
    return this.watched.get(connection)?.operations;
  }

  /** How many operations all connections carry. */
  get operations(): number {
    return [...this.watched.values()].reduce((n, { operations }) => n + operations.size, 0);
  }

  close(): void {
    clearInterval(this.timer);
  }

  private look(): void {
    const now = performance.now();
    for (const [connection, watched] of this.watched) {
      const waiting = watched.waiting();
      const taken = (watched.stream.bytesWritten ?? 0) - waiting;
      if (waiting === 0 || taken > watched.taken) {
        watched.taken = taken;
        watched.since = now;
      } else if (now - watched.since >= this.stalledMs) {
        this.watched.delete(connection);
        const reason = reasonFor([...watched.operations.values()]);
        this.log.warn({ reason }, "cut off a client that has stopped to read");
        watched.cut(reason);
      }
    }
  }
}

function reasonFor(operations: readonly Context[]): TooSlow {
  const after = Object.fromEntries(operations.flatMap(({ progress }) => (progress ? [[progress.runId, progress.sequence]] : [])));
  return { code: "SUBSCRIBER_TOO_SLOW", after };
}
