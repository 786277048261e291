/**
 * A stream that stops when its reader leaves, even while it waits. Leaving an async generator that waits takes effect only
 * when the wait is over; here it aborts the signal that the generator waits with.
 */
export function cancellable<Item>(start: (signal: AbortSignal) => AsyncGenerator<Item, void>): AsyncIterableIterator<Item> {
  const left = new AbortController();
  const items = start(left.signal);
  return {
    next: () => items.next(),
    return: async () => {
      left.abort();
      // What the abort makes the generator throw has nobody left to hear it.
      await items.return().catch(() => {});
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
