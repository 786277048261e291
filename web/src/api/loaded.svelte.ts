import { untrack } from "svelte";
import { type Changes, onChanges } from "./live.svelte.ts";

/** At least so long between two readings of the same, however often it changes. */
const restMs = 1000;

/** What was asked of the server: the newest answer, whether another is on its way, and why there is none. */
export class Loaded<Value> {
  value = $state.raw<Value | null>(null);
  failure = $state.raw<unknown>(null);
  isLoading = $state(true);
  /** Asks again. */
  reload: () => void = () => {};
}

/**
 * Asks when a component appears, when what `load` reads of the component's state changes, and after changes in the lists that `touches`
 * says matter. What was there stays until the new answer is. To be called while a component is set up.
 *
 * @param load begins with what it depends on, before it waits for anything
 */
export function loaded<Value>(load: (signal: AbortSignal) => Promise<Value>, touches?: (changes: Changes) => boolean): Loaded<Value> {
  const result = new Loaded<Value>();
  let asking: AbortController | null = null;
  let lastAt = 0;
  let timer: ReturnType<typeof setTimeout> | null = null;

  function read(): void {
    asking?.abort();
    const current = new AbortController();
    asking = current;
    lastAt = Date.now();
    untrack(() => {
      result.isLoading = true;
    });
    load(current.signal).then(
      (value) => {
        if (current === asking) Object.assign(result, { value, failure: null, isLoading: false });
      },
      (failure: unknown) => {
        if (current === asking) Object.assign(result, { failure, isLoading: false });
      },
    );
  }
  const soon = () => {
    timer ??= setTimeout(
      () => {
        timer = null;
        read();
      },
      Math.max(0, lastAt + restMs - Date.now()),
    );
  };
  result.reload = read;
  $effect(() => {
    read();
    return () => asking?.abort();
  });
  $effect(() => {
    const end = touches ? onChanges((changes) => (changes.deletedIds[0] === "*" || touches(changes)) && soon()) : () => {};
    return () => {
      end();
      if (timer) clearTimeout(timer);
      timer = null;
    };
  });
  return result;
}
