/** Several streams as one, each item as it comes. The first that throws ends them all; so does leaving. */
export async function* merged<Item>(streams: readonly AsyncGenerator<Item, unknown>[]): AsyncGenerator<Item, void> {
  const next = (stream: AsyncGenerator<Item, unknown>) => stream.next().then((step) => ({ stream, step }));
  const pending = new Map(streams.map((stream) => [stream, next(stream)]));
  try {
    while (pending.size > 0) {
      const { stream, step } = await Promise.race(pending.values());
      if (step.done) pending.delete(stream);
      else {
        pending.set(stream, next(stream));
        yield step.value;
      }
    }
  } finally {
    // One that waits is left when its wait is over; its errors have nobody left to hear them.
    for (const [stream, waiting] of pending) {
      waiting.catch(() => {});
      void stream.return(undefined).catch(() => {});
    }
  }
}
