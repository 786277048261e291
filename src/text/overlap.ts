/** Words of the sequences that are looked for, as GPT-3's authors looked for test sets in training data (arXiv 2005.14165, appendix C). */
const sequenceWords = 13;
/** Shorter texts (names, dates) are alike everywhere and say nothing. */
const leastWords = 6;
/** Sequences of a passage. */
const passageLength = 100;

/** How much of one text collection is in another. */
export interface Overlap {
  /** Share of its passages that the other holds too, 0..1. */
  readonly ratio: number;
  /** The beginning of one of them; null if there is none. */
  readonly example: string | null;
}

/**
 * How much of `texts` is in `others`: the share of its passages of about 100 words (a shorter text is one passage) of which more
 * than half the sequences of 13 words occur there, whatever their case, punctuation and line breaks. So boilerplate and
 * quotations of a sentence do not count, and a document, a chapter or an item that is in both does. Exact but for collisions
 * of 52-bit hashes.
 */
export function overlapOf(texts: readonly string[], others: readonly string[]): Overlap {
  const known = new Set<number>();
  for (const text of others) for (const sequence of sequencesOf(wordsOf(text))) known.add(sequence);
  let [passages, shared] = [0, 0];
  let example: string | null = null;
  for (const text of texts) {
    const words = wordsOf(text);
    const sequences = sequencesOf(words);
    for (let at = 0; at < sequences.length; at += passageLength) {
      const passage = sequences.subarray(at, at + passageLength);
      passages++;
      if (passage.reduce((n, sequence) => (known.has(sequence) ? n + 1 : n), 0) * 2 <= passage.length) continue;
      shared++;
      example ??= words.slice(at, at + sequenceWords).join(" ");
    }
  }
  return { ratio: passages === 0 ? 0 : shared / passages, example };
}

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];

/** The hash of each sequence of words of a text; a text shorter than a sequence is one. */
function sequencesOf(words: readonly string[]): Float64Array {
  if (words.length < leastWords) return new Float64Array();
  const hashes = Uint32Array.from(words, hash);
  const length = Math.min(sequenceWords, words.length);
  const sequences = new Float64Array(words.length - length + 1);
  for (let start = 0; start < sequences.length; start++) {
    let [a, b] = [0x811c9dc5, 0x9e3779b9];
    for (let i = start; i < start + length; i++) {
      const word = hashes[i] as number;
      a = Math.imul(a ^ word, 0x01000193);
      b = Math.imul(b ^ word, 0x85ebca6b) ^ (b >>> 13);
    }
    sequences[start] = (a >>> 6) * 2 ** 26 + (b >>> 6);
  }
  return sequences;
}

/** FNV-1a over UTF-16 code units. */
function hash(word: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) h = Math.imul(h ^ word.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
