/** Less than so much between two clocks is not told apart from the time that an answer takes. */
const tolerableMs = 5000;

/**
 * The time by the server's clock, for what says how long ago something was there: this computer's may differ. It goes on once a second,
 * while the page is seen.
 */
class Clock {
  /** How far the server's clock is ahead of this computer's. */
  aheadMs = $state(0);
  now = $state(Date.now());

  constructor() {
    setInterval(() => {
      if (!document.hidden) this.now = Date.now() + this.aheadMs;
    }, 1000);
  }

  /** Hears the time from an answer of the server, whole seconds as HTTP has them, to a request that was sent then. */
  hear(date: string | null, sentAt: number): void {
    const told = Date.parse(date ?? "");
    if (Number.isNaN(told)) return;
    const aheadMs = told + 500 - (sentAt + Date.now()) / 2;
    const next = Math.abs(aheadMs) < tolerableMs ? 0 : aheadMs;
    if (Math.abs(next - this.aheadMs) < tolerableMs) return;
    this.aheadMs = next;
    this.now = Date.now() + next;
  }
}

export const clock = new Clock();
