import { EspalierError } from "../errors.ts";
import { append } from "../large-lists.ts";
import { type Change, changesAfter, cursorOf, isAfter, type Position, positionOf, settledPosition } from "./changes.ts";
import { Readings } from "./readings.ts";
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
  readonly readings: Readings;
  /** The newest changes, in order: those after `start`, up to `end`. */
  private window: Change[] = [];
  private start: Position | undefined;
  private end: Position | undefined;

  constructor(private readonly store: Store) {
    this.readings = new Readings(store.listener.watch("changes"), (signal) => this.read(signal), restMs);
  }

  /** How far it has read. To be asked after a reading. */
  position(): Position {
    this.readings.requireGood();
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

  private async read(signal: AbortSignal): Promise<void> {
    const { prisma } = this.store;
    const settled = await throughReconnects(signal, () => settledPosition(prisma));
    this.start ??= settled;
    this.end ??= settled;
    while (isAfter(settled, this.end)) {
      const from: Position = this.end;
      const changes = await throughReconnects(signal, () => changesAfter(prisma, from, settled, batchSize));
      append(this.window, changes);
      const surplus = this.window.splice(0, Math.max(0, this.window.length - windowSize));
      this.start = surplus.at(-1) ?? this.start;
      this.end = changes.length < batchSize ? settled : (changes.at(-1) as Position);
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
    await feed.readings.refresh();
    if (signal.aborted) return;
    let position = asked ?? feed.position();
    if (isAfter(position, feed.position()))
      throw new EspalierError("BAD_CURSOR", "the cursor is of another database, or of before this one was restored: begin without one", {
        cursor: after,
      });
    yield { cursor: cursorOf(position), changes: [] };
    while (!signal.aborted) {
      const { count } = feed.readings;
      const { changes, to } = await feed.after(position, signal);
      if (signal.aborted) return;
      position = to;
      const told = changes.filter(({ subject, record }) => record !== null || subject === "DELETION");
      if (told.length > 0) yield { cursor: cursorOf(position), changes: told };
      if (changes.length < batchSize) await feed.readings.after(count, signal);
    }
  } finally {
    feed.followers--;
    if (feed.followers === 0) {
      feed.readings.close();
      if (feeds.get(store) === feed) feeds.delete(store);
    }
  }
}
