import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { Condition } from "../condition.ts";
import type { Database } from "./store.ts";

/** The channel that says what has news: a run, by its id, or another key of a watch. */
const channel = "espalier_news";

/** Hints, when the transaction commits and only then, that what watches of the key look at has changed. */
export async function notify(tx: Database, key: string): Promise<void> {
  await tx.$executeRaw`SELECT pg_notify(${channel}, ${key})`;
}

/** Waits this long for word from the database and then looks anyway: a notification is a hint, never the carrier. */
const pollMs = 1000;
const maxRetryMs = 5000;

/** One party's interest in one key. Hints that come while it is busy are remembered as one. */
export class Watch {
  private hinted = false;
  private readonly hints = new Condition();

  constructor(readonly close: () => void) {}

  hint(): void {
    this.hinted = true;
    this.hints.notifyAll();
  }

  /** Resolves at a hint given since the last wait, or when it is time to look anyway, or once the signal aborts. */
  async wait(signal: AbortSignal): Promise<void> {
    if (!this.hinted) await this.hints.wait(signal, pollMs);
    this.hinted = false;
  }
}

/** Hears PostgreSQL's notifications on a connection of its own, made at the first watch and made again whenever it breaks. */
export class Listener {
  private readonly watches = new Map<string, Set<Watch>>();
  private readonly closing = new AbortController();
  private running: Promise<void> | undefined;

  constructor(private readonly url: string) {}

  watch(key: string): Watch {
    this.running ??= this.listen();
    const set = this.watches.get(key) ?? new Set();
    this.watches.set(key, set);
    const watch = new Watch(() => {
      set.delete(watch);
      if (set.size === 0 && this.watches.get(key) === set) this.watches.delete(key);
    });
    set.add(watch);
    return watch;
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.running;
  }

  private hint(watches: Iterable<Watch>): void {
    for (const watch of watches) watch.hint();
  }

  private async listen(): Promise<void> {
    const { signal } = this.closing;
    for (let failures = 0; !signal.aborted; ) {
      const client = new pg.Client({ connectionString: this.url, keepAlive: true, application_name: "espalier-listener" });
      const ended = new Promise<void>((resolve) => client.once("end", resolve));
      client.on("error", () => {}); // "end" follows
      client.on("notification", ({ payload }) => this.hint(this.watches.get(payload ?? "") ?? []));
      try {
        await client.connect();
        await client.query(`LISTEN ${channel}`);
        failures = 0;
        // What was said while nobody listened is lost: everyone looks.
        for (const set of this.watches.values()) this.hint(set);
        const stop = () => void client.end();
        signal.addEventListener("abort", stop, { once: true });
        if (signal.aborted) stop();
        await ended;
        signal.removeEventListener("abort", stop);
      } catch {
        await client.end().catch(() => {});
        failures++;
      }
      // Meanwhile the watches poll; a database that is gone reports itself to whoever asks it something.
      if (!signal.aborted) await delay(Math.min(maxRetryMs, 100 * 2 ** failures), undefined, { signal }).catch(() => {});
    }
  }
}
