/**
 * A stream that stops when its reader leaves, even while it waits. Leaving an async generator that waits takes effect only
 * when the wait is over; here it aborts the signal that the generator waits with.
 */
export function cancellable<Item>(start: (signal: AbortSignal) => AsyncGenerator<Item, void>): AsyncIterableIterator<Item> {
  const left = new AbortController();
  const items = start(left.signal);
  const done = { done: true, value: undefined } as const;
  // What the abort makes the generator throw has nobody left to hear it.
  const unlessLeft = (error: unknown): typeof done => {
    if (left.signal.aborted) return done;
    throw error;
  };
  return {
    next: () => items.next().catch(unlessLeft),
    return: async () => {
      left.abort();
      await items.return().catch(unlessLeft);
      return done;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
