import { numberAt } from "../number-at.ts";
import { type Random, randomChoice, randomInteger, shuffled } from "../random.ts";
import { dictionary } from "./dictionary.ts";
import { neighbours } from "./edits.ts";
import type { Tokenizer } from "./tokenizer.ts";

/** REAL_WORD edits characters so that dictionary words come out; CHARACTER edits them freely; TOKEN replaces token ids. */
export const perturbationKinds = ["REAL_WORD", "CHARACTER", "TOKEN"] as const;
export type PerturbationKind = (typeof perturbationKinds)[number];

/** Token ids of a text whose meaning is distorted: a share `rate` of its words (TOKEN: of its tokens) is changed. */
type Perturbation = (tokenizer: Tokenizer, text: string, rate: number, random: Random) => number[];

export const perturbations: Readonly<Record<PerturbationKind, Perturbation>> = {
  REAL_WORD: (tokenizer, text, rate, random) => tokenizer.encode(perturbWords(text, rate, realWords, random)),
  CHARACTER: (tokenizer, text, rate, random) => tokenizer.encode(perturbWords(text, rate, anyWords, random)),
  TOKEN: (tokenizer, text, rate, random) => perturbTokens(tokenizer, tokenizer.encode(text), rate, random),
};

/** What may stand in a lower-case word's place, grouped by the edit that makes it. */
type Replacements = (word: string) => readonly (readonly string[])[];

const known = new Map<string, readonly (readonly string[])[]>();

/** Dictionary words one edit away. Texts repeat their words, so each is looked up once. */
export const realWords: Replacements = (word) => {
  const found = known.get(word) ?? neighbours(word, (other) => dictionary().has(other));
  known.set(word, found);
  return found;
};

export const anyWords: Replacements = (word) => neighbours(word, () => true);

/** A word, with the apostrophes inside it. */
const wordPattern = /\p{L}+(?:['’]\p{L}+)*/gu;

/** How words are capitalised, and how a replacement is made to match; a word of any other form is left as it is. */
const cases: readonly ((word: string) => string)[] = [
  (word) => word.toLowerCase(),
  (word) => word.replace(/./u, (first) => first.toUpperCase()),
  (word) => word.toUpperCase(),
];

/**
 * Changes a share `rate` of the text's words by one edit each: which words, which kind of edit and which of its results
 * are drawn evenly. Words that have no replacement are passed over in favour of others, until none is left.
 */
export function perturbWords(text: string, rate: number, replacements: Replacements, random: Random): string {
  const words = [...text.matchAll(wordPattern)];
  let wanted = Math.round(rate * words.length);
  const changes = new Map<number, string>();
  for (const match of shuffled(random, words)) {
    if (wanted === 0) break;
    const [word] = match;
    const lower = word.toLowerCase();
    const matchCase = cases.find((form) => form(lower) === word);
    const groups = matchCase ? replacements(lower) : [];
    if (!matchCase || groups.length === 0) continue;
    changes.set(match.index, matchCase(randomChoice(random, randomChoice(random, groups))));
    wanted--;
  }
  return text.replace(wordPattern, (word, at: number) => changes.get(at) ?? word);
}

/** Replaces a share `rate` of the tokens by others, drawn evenly from the vocabulary without its special tokens. */
export function perturbTokens(tokenizer: Tokenizer, ids: readonly number[], rate: number, random: Random): number[] {
  const out = [...ids];
  const positions = shuffled(random, [...ids.keys()]).slice(0, Math.round(rate * ids.length));
  for (const at of positions) {
    do out[at] = randomInteger(random, tokenizer.vocabularySize);
    while (out[at] === ids[at] || tokenizer.specialTokens.has(numberAt(out, at)));
  }
  return out;
}
