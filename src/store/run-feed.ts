import { EspalierError } from "../errors.ts";
import { append } from "../large-lists.ts";
import { eventsAfter, type StoredEvent } from "./events.ts";
import { Readings } from "./readings.ts";
import { throughReconnects } from "./reconnect.ts";
import { isId } from "./record.ts";
import type { Store } from "./store.ts";

/** So many of a run's newest events are kept for all its followers together. One who is farther behind reads the database. */
const windowSize = 256;
/** So many events a follower who is behind reads at a time: the most that it holds in memory of its own. */
const batchSize = 20;

/**
 * The events of one run as they come, read once for all who follow it in this process. A follower asks for what comes after
 * the last it had, and waits for news if that is nothing.
 */
class RunFeed {
  followers = 0;
  /** The newest events, in order; the first is `start + 1`. */
  private window: StoredEvent[] = [];
  private start = 0;
  private over = false;
  private missing = false;
  private begun = false;
  readonly readings: Readings;

  constructor(
    private readonly store: Store,
    private readonly runId: string,
  ) {
    this.readings = new Readings(store.listener.watch(runId), (signal) => this.read(signal));
  }

  /** What comes after a sequence, as far as it is there; null once there is no more to come. */
  async after(sequence: number, signal: AbortSignal): Promise<readonly StoredEvent[] | null> {
    this.readings.requireGood();
    if (this.missing) throw new EspalierError("RUN_NOT_FOUND", `there is no run ${this.runId}`, { id: this.runId });
    if (sequence < this.start) return throughReconnects(signal, () => eventsAfter(this.store.prisma, this.runId, sequence, batchSize));
    const events = this.window.slice(sequence - this.start);
    return events.length === 0 && this.over ? null : events;
  }

  private async read(signal: AbortSignal): Promise<void> {
    const { prisma } = this.store;
    const select = { lastSequence: true, finishedAt: true };
    // The end is looked up before the events: all events of a run that is over are there.
    const run = isId(this.runId)
      ? await throughReconnects(signal, () => prisma.run.findUnique({ where: { id: this.runId }, select }))
      : null;
    this.missing = run === null;
    if (!run) return;
    if (!this.begun) this.start = run.lastSequence;
    this.begun = true;
    for (let last = this.start + this.window.length; last < run.lastSequence; last = this.start + this.window.length) {
      const events = await throughReconnects(signal, () => eventsAfter(prisma, this.runId, last, batchSize));
      // The run was deleted just now.
      if (events.length === 0) break;
      append(this.window, events);
      const surplus = Math.max(0, this.window.length - windowSize);
      this.window.splice(0, surplus);
      this.start += surplus;
    }
    this.over = run.finishedAt !== null;
  }
}

const feeds = new WeakMap<Store, Map<string, RunFeed>>();

/**
 * A run's events after a sequence, in order, each once: those there are, then those to come, until the run is over or the
 * signal aborts. They are read as fast as they are taken, so a slow follower costs little memory, and followers who keep up
 * share one reading. While the database is out of reach, all wait.
 *
 * @throws EspalierError RUN_NOT_FOUND
 */
export async function* followRun(store: Store, runId: string, after: number, signal: AbortSignal): AsyncGenerator<StoredEvent, void> {
  const id = runId.toLowerCase();
  const known = feeds.get(store) ?? new Map<string, RunFeed>();
  feeds.set(store, known);
  const feed = known.get(id) ?? new RunFeed(store, id);
  known.set(id, feed);
  feed.followers++;
  try {
    // What it knew before may be old: a run that was over may go on.
    await feed.readings.refresh();
    for (let sequence = after; !signal.aborted; ) {
      const { count } = feed.readings;
      const events = await feed.after(sequence, signal);
      if (events === null) return;
      for (const event of events) {
        if (signal.aborted) return;
        yield event;
        sequence = event.sequence;
      }
      if (events.length === 0) await feed.readings.after(count, signal);
    }
  } finally {
    feed.followers--;
    if (feed.followers === 0) {
      feed.readings.close();
      known.delete(id);
    }
  }
}
