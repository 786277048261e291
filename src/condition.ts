/** A condition variable: those who wait look again once something may have changed. */
export class Condition {
  private readonly waiting = new Set<() => void>();

  /** How many wait. */
  get waiters(): number {
    return this.waiting.size;
  }

  /** Wakes all who wait now. */
  notifyAll(): void {
    for (const wake of [...this.waiting]) wake();
  }

  /** Resolves at the next `notifyAll`, once the signal aborts, or after `withinMs`. Nothing of it stays on the signal. */
  async wait(signal?: AbortSignal, withinMs?: number): Promise<void> {
    if (signal?.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = withinMs === undefined ? undefined : setTimeout(() => wake(), withinMs);
      const wake = () => {
        clearTimeout(timer);
        this.waiting.delete(wake);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      this.waiting.add(wake);
      signal?.addEventListener("abort", wake, { once: true });
    });
  }
}
