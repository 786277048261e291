/** The single edits that slips of the fingers make, by kind: each gives every word it can make of a word's letters. */
type Edit = (letters: readonly string[]) => string[];

const alphabet = [..."abcdefghijklmnopqrstuvwxyz"];

const spliced = (letters: readonly string[], at: number, remove: number, ...insert: string[]) =>
  letters.toSpliced(at, remove, ...insert).join("");

export const edits = {
  /** later → alter */
  swap: (letters) => letters.slice(1).map((next, i) => spliced(letters, i, 2, next, letters[i] as string)),
  /** pears → pars; never the whole word */
  delete: (letters) => (letters.length > 1 ? letters.map((_, i) => spliced(letters, i, 1)) : []),
  /** host → ghost */
  insert: (letters) => [...letters, ""].flatMap((_, i) => alphabet.map((letter) => spliced(letters, i, 0, letter))),
  /** happy → nappy */
  replace: (letters) => letters.flatMap((_, i) => alphabet.map((letter) => spliced(letters, i, 1, letter))),
} as const satisfies Record<string, Edit>;

/** All words one edit away from `word` that `accept` takes, grouped by edit; groups without any are left out. */
export function neighbours(word: string, accept: (word: string) => boolean): string[][] {
  const letters = [...word];
  return Object.values<Edit>(edits)
    .map((edit) => edit(letters).filter((other) => other !== word && accept(other)))
    .filter((group) => group.length > 0);
}
