import { readFileSync } from "node:fs";
import wordListPath from "word-list";

let words: ReadonlySet<string> | undefined;

/** English words of two letters and more, in lower case (npm package `word-list`). Read on first use, about 0.2 s. */
export function dictionary(): ReadonlySet<string> {
  words ??= new Set(readFileSync(wordListPath, "utf8").split("\n"));
  return words;
}
