import { setTimeout as delay } from "node:timers/promises";
import { Condition } from "../condition.ts";
import { EspalierError } from "../errors.ts";
import { type Change, changesAfter, cursorOf, isAfter, type Position, positionOf, settledPosition } from "./changes.ts";
import type { Watch } from "./listener.ts";
import { throughReconnects } from "./reconnect.ts";
import type { Store } from "./store.ts";

/** So many of the newest changes are kept for all followers together. One who is farther behind reads the database. */
const windowSize = 256;
/** So many changes are read, and told, at a time. */
const batchSize = 100;
/** Between two readings, in which what changes often changes as often as it likes and is told of once. */
const restMs = 100;

/** What has changed since the message before, and the cursor to go on after it. */
export interface ChangeBatch {
  readonly cursor: string;
  readonly changes: readonly Change[];
}

/** The changes of all lists as they come, read once for all who follow them in this process. */
class ChangeFeed {
  followers = 0;
  /** Counts the readings. */
  readings = 0;
  /** The newest changes, in order: those after `start`, up to `end`. */
  private window: Change[] = [];
  private start: Position | undefined;
  private end: Position | undefined;
  private failure: { readonly error: unknown } | undefined;
  private readonly ended = new AbortController();
  private readonly readingDone = new Condition();
  private reading: Promise<void> = Promise.resolve();
  private nextReading: Promise<void> | undefined;
  private readonly watch: Watch;

  constructor(private readonly store: Store) {
    this.watch = store.listener.watch("changes");
    void this.listen();
  }

  /** How far it has read. To be asked after a reading. */
  position(): Position {
    if (this.failure) throw this.failure.error;
    return this.end as Position;
  }

  /** What comes after a position, as far as it was read, and how far that goes. */
  async after(from: Position, signal: AbortSignal): Promise<{ readonly changes: readonly Change[]; readonly to: Position }> {
    const end = this.position();
    const isKept = !isAfter(this.start as Position, from);
    const changes = isKept
      ? this.window.filter((change) => isAfter(change, from)).slice(0, batchSize)
      : await throughReconnects(signal, () => changesAfter(this.store.prisma, from, end, batchSize));
    return { changes, to: changes.length < batchSize ? end : (changes.at(-1) as Position) };
  }

  /** Resolves once there has been a reading since the one given, or the signal aborts. */
  async news(since: number, signal: AbortSignal): Promise<void> {
    if (this.readings === since) await this.readingDone.wait(signal);
  }

  /** Reads what is new. A reading under way may have begun too early to see it: then another follows, for all who ask meanwhile. */
  refresh(): Promise<void> {
    this.nextReading ??= this.reading.then(() => {
      this.nextReading = undefined;
      this.reading = this.read();
      return this.reading;
    });
    return this.nextReading;
  }

  close(): void {
    this.watch.close();
    this.ended.abort();
  }

  private async listen(): Promise<void> {
    const { signal } = this.ended;
    for (; !signal.aborted; await this.watch.wait(signal)) {
      await this.refresh();
      await delay(restMs, undefined, { signal }).catch(() => {});
    }
  }

  private async read(): Promise<void> {
    const { prisma } = this.store;
    const { signal } = this.ended;
    try {
      const settled = await throughReconnects(signal, () => settledPosition(prisma));
      this.start ??= settled;
      this.end ??= settled;
      while (isAfter(settled, this.end)) {
        const from: Position = this.end;
        const changes = await throughReconnects(signal, () => changesAfter(prisma, from, settled, batchSize));
        this.window.push(...changes);
        const surplus = this.window.splice(0, Math.max(0, this.window.length - windowSize));
        this.start = surplus.at(-1) ?? this.start;
        this.end = changes.length < batchSize ? settled : (changes.at(-1) as Position);
      }
      this.failure = undefined;
    } catch (error) {
      this.failure = signal.aborted ? undefined : { error };
    } finally {
      this.readings++;
      this.readingDone.notifyAll();
    }
  }
}

const feeds = new WeakMap<Store, ChangeFeed>();

/**
 * What changes in the lists of runs, models and datasets: first where one stands, at once, and then what changes from there on, until
 * the signal aborts. Who goes on from a cursor misses nothing. A record that changes faster than it is read is told of as it is then.
 * Followers share one reading; one that is slow costs little memory.
 *
 * @param after a cursor to go on from; null to begin with what comes
 * @throws EspalierError BAD_CURSOR
 */
export async function* followChanges(store: Store, after: string | null, signal: AbortSignal): AsyncGenerator<ChangeBatch, void> {
  const asked = after === null ? null : positionOf(after);
  const feed = feeds.get(store) ?? new ChangeFeed(store);
  feeds.set(store, feed);
  feed.followers++;
  try {
    await feed.refresh();
    if (signal.aborted) return;
    let position = asked ?? feed.position();
    if (isAfter(position, feed.position()))
      throw new EspalierError("BAD_CURSOR", "the cursor is of another database, or of before this one was restored: begin without one", {
        cursor: after,
      });
    yield { cursor: cursorOf(position), changes: [] };
    while (!signal.aborted) {
      const { readings } = feed;
      const { changes, to } = await feed.after(position, signal);
      if (signal.aborted) return;
      position = to;
      const told = changes.filter(({ subject, record }) => record !== null || subject === "DELETION");
      if (told.length > 0) yield { cursor: cursorOf(position), changes: told };
      if (changes.length < batchSize) await feed.news(readings, signal);
    }
  } finally {
    feed.followers--;
    if (feed.followers === 0) {
      feed.close();
      if (feeds.get(store) === feed) feeds.delete(store);
    }
  }
}
