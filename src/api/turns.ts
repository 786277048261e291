import { setImmediate } from "node:timers/promises";

/**
 * Begins works one after the other, with a look at whatever else has come between two of them. Two thousand operations may arrive at
 * once, and each takes a millisecond to parse, check and begin: without turns nobody else would be heard meanwhile.
 */
export class Turns {
  private last: Promise<void> = Promise.resolve();

  next(): Promise<void> {
    this.last = this.last.then(() => setImmediate());
    return this.last;
  }
}
