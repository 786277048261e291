import { setTimeout as delay } from "node:timers/promises";
import { Condition } from "../condition.ts";
import type { Watch } from "./listener.ts";

/** Readings of what changes in the database: at each sign of news, once for all who wait for it in this process. */
export class Readings {
  /** How many there have been. */
  count = 0;
  /** Why the last one failed: something else than a database out of reach. */
  private failure: { readonly error: unknown } | undefined;
  private readonly ended = new AbortController();
  private readonly done = new Condition();
  private current: Promise<void> = Promise.resolve();
  private next: Promise<void> | undefined;

  /**
   * @param watch for signs of news; closed with this
   * @param read what is new; it waits while the database is out of reach
   * @param restMs between two readings: what changes often is read together
   */
  constructor(
    private readonly watch: Watch,
    private readonly read: (signal: AbortSignal) => Promise<void>,
    private readonly restMs = 0,
  ) {
    void this.listen();
  }

  /** @throws what the last reading threw */
  requireGood(): void {
    if (this.failure) throw this.failure.error;
  }

  /** Resolves once there has been a reading since the one given, or the signal aborts. */
  async after(count: number, signal: AbortSignal): Promise<void> {
    if (this.count === count) await this.done.wait(signal);
  }

  /** Reads what is new. A reading under way may have begun too early to see it: then another follows, for all who ask meanwhile. */
  refresh(): Promise<void> {
    this.next ??= this.current.then(() => {
      this.next = undefined;
      this.current = this.once();
      return this.current;
    });
    return this.next;
  }

  close(): void {
    this.watch.close();
    this.ended.abort();
  }

  private async listen(): Promise<void> {
    const { signal } = this.ended;
    for (; !signal.aborted; await this.watch.wait(signal)) {
      await this.refresh();
      if (this.restMs > 0) await delay(this.restMs, undefined, { signal }).catch(() => {});
    }
  }

  private async once(): Promise<void> {
    const { signal } = this.ended;
    try {
      await this.read(signal);
      this.failure = undefined;
    } catch (error) {
      this.failure = signal.aborted ? undefined : { error };
    } finally {
      this.count++;
      this.done.notifyAll();
    }
  }
}
