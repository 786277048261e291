/** Tokens fed, and for each the token that follows it. */
export interface Window {
  readonly inputs: readonly number[];
  readonly targets: readonly number[];
}

/**
 * Cuts documents into windows that do not overlap: each token but a document's first is predicted exactly once.
 *
 * @param sequenceLength tokens of a window; a document's last may be shorter
 * @param maxTokens how many predictions to stop after, null for all; documents beyond are not taken from the iterator
 */
export function windowsOf(documents: Iterable<readonly number[]>, sequenceLength: number, maxTokens: number | null): Window[] {
  const windows: Window[] = [];
  let left = maxTokens ?? Number.POSITIVE_INFINITY;
  for (const ids of documents) {
    for (let at = 0; at + 1 < ids.length && left > 0; at += sequenceLength) {
      const length = Math.min(sequenceLength, ids.length - 1 - at, left);
      windows.push({ inputs: ids.slice(at, at + length), targets: ids.slice(at + 1, at + 1 + length) });
      left -= length;
    }
    if (left === 0) break;
  }
  return windows;
}

/** Neighbouring windows of equal length together, as many as `tokensPerRun` allows. */
export function batchesOf(windows: readonly Window[], tokensPerRun: number): Window[][] {
  const batches: Window[][] = [];
  for (const window of windows) {
    const batch = batches.at(-1);
    const length = window.inputs.length;
    if (batch?.[0]?.inputs.length === length && (batch.length + 1) * length <= tokensPerRun) batch.push(window);
    else batches.push([window]);
  }
  return batches;
}
