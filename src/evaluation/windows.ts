/** A stretch of a stream of tokens, of which the last are predicted: each from all before it in the stretch. */
export interface Window {
  /** Place of its first token in the stream. */
  readonly start: number;
  /** One past its last token. */
  readonly end: number;
  /** How many of its tokens, counted from its end, are predicted. */
  readonly predicted: number;
}

/**
 * Cuts a stream into windows, one every `stride` tokens. Of the first window all tokens but its first are predicted; of each
 * later one those that no window before it held, its first left out.
 *
 * With a stride of the whole length this is the perplexity of the pruning papers (SparseGPT, Wanda, LLM-Pruner, FLAP): windows
 * side by side, `sequenceLength - 1` predictions each. A smaller stride is transformers' sliding window: every prediction
 * sees at least `sequenceLength - stride` tokens. The stream's last, shorter window counts too.
 *
 * @param tokens length of the stream
 * @param maxTokens how many predictions to stop after, null for all
 */
export function windowsOf(tokens: number, sequenceLength: number, stride: number, maxTokens: number | null): Window[] {
  const windows: Window[] = [];
  let left = maxTokens ?? Number.POSITIVE_INFINITY;
  let held = 0;
  for (let start = 0; held < tokens && left > 0; start += stride) {
    const full = Math.min(start + sequenceLength, tokens);
    const first = Math.max(held, start + 1);
    held = full;
    const predicted = Math.min(full - first, left);
    if (predicted <= 0) continue;
    windows.push({ start, end: first + predicted, predicted });
    left -= predicted;
  }
  return windows;
}
