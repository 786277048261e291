import { EspalierError } from "../errors.ts";

/** Lets so many works through at a time; so many more wait, in order, and the rest is refused. */
export class Gate {
  private active = 0;
  private readonly waiting = new Set<() => void>();

  constructor(
    private readonly atOnce: number,
    private readonly mostWaiting: number,
  ) {}

  /** @throws EspalierError OVERLOADED if too many wait; the signal's reason if it aborts before it is the work's turn; what the work throws */
  async pass<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.active >= this.atOnce) await this.turn(signal);
    else this.active++;
    try {
      return await work();
    } finally {
      const [next] = this.waiting;
      // Whoever is next takes over the place: nobody comes between.
      if (next) next();
      else this.active--;
    }
  }

  private async turn(signal: AbortSignal): Promise<void> {
    if (this.waiting.size >= this.mostWaiting)
      throw new EspalierError("OVERLOADED", `${this.waiting.size} requests already wait: ask again later`, { waiting: this.waiting.size });
    await new Promise<void>((resolve, reject) => {
      const settle = (how: () => void) => () => {
        this.waiting.delete(go);
        signal.removeEventListener("abort", leave);
        how();
      };
      const go: () => void = settle(resolve);
      const leave = settle(() => reject(signal.reason));
      this.waiting.add(go);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
}
