import { afterEach, beforeEach } from "node:test";

/**
 * What the tests of a file follow ends with each test, whether or not it came to its own end.
 *
 * @param begin begins to follow; `over` aborts when the test ends
 */
export function followers<Args extends readonly unknown[], Told>(
  begin: (over: AbortSignal, ...args: Args) => AsyncGenerator<Told, void>,
): (...args: Args) => AsyncGenerator<Told, void> {
  let over: AbortController;
  let begun: AsyncGenerator<Told, void>[];
  beforeEach(() => {
    over = new AbortController();
    begun = [];
  });
  afterEach(async () => {
    over.abort();
    await Promise.all(begun.map((follower) => follower.return()));
  });
  return (...args) => {
    const follower = begin(over.signal, ...args);
    begun.push(follower);
    return follower;
  };
}
