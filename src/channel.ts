/** What one side pushes and one other takes, in order. */
export class Channel<Item> {
  private readonly items: Item[] = [];
  private over: { readonly error?: unknown } | null = null;
  private wake: () => void = () => {};

  push(item: Item): void {
    this.items.push(item);
    this.wake();
  }

  /** No more will come. */
  end(): void {
    this.over ??= {};
    this.wake();
  }

  /**
   * Something went wrong, which whoever takes is told after what has come before.
   *
   * @param now without what has come before
   */
  fail(error: unknown, now = false): void {
    this.over ??= { error };
    if (now) this.items.length = 0;
    this.wake();
  }

  /** The items as they come, until the end. @throws what it failed with */
  async *taken(): AsyncGenerator<Item, void> {
    for (;;) {
      if (this.items.length > 0) yield this.items.shift() as Item;
      else if (!this.over) await new Promise<void>((resolve) => (this.wake = resolve));
      else if ("error" in this.over) throw this.over.error;
      else return;
    }
  }
}
