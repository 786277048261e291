/**
 * Begins works one after the other, with a look at whatever else has come between two of them, and the connections by turns. Two thousand
 * operations may arrive at once, and each takes a millisecond or more to parse, check and begin: without turns nobody else would be heard
 * meanwhile, and behind a connection that brought most of them everybody else would wait for all of those.
 */
export class Turns {
  /** Those whose turn it is not yet; the connection that had one last comes last. */
  private readonly waiting = new Map<object, (() => void)[]>();
  private going = false;

  /** Returns when it is the turn of the work, which may find its client gone. */
  next(connection: object): Promise<void> {
    return new Promise((begin) => {
      const before = this.waiting.get(connection);
      if (before) before.push(begin);
      else this.waiting.set(connection, [begin]);
      if (!this.going) setImmediate(() => this.go());
      this.going = true;
    });
  }

  private go(): void {
    for (const [connection, works] of this.waiting) {
      const begin = works.shift();
      this.waiting.delete(connection);
      if (works.length > 0) this.waiting.set(connection, works);
      begin?.();
      break;
    }
    this.going = this.waiting.size > 0;
    if (this.going) setImmediate(() => this.go());
  }
}
