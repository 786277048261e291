import { isWhole } from "../../is-whole.ts";
import type { Component } from "./component.ts";

/** Tokens of words, by a vocabulary. */
export interface TokenModel {
  /** Token to id. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** The ids of a word that is not empty. */
  encode(word: string): readonly number[];
}

/** Token to id, as `vocab` says. */
export function vocabularyOf(component: Component): Map<string, number> {
  const vocabulary = new Map<string, number>();
  for (const [token, id] of component.part("vocab").entries()) {
    if (!isWhole(id, 0, 2 ** 26 - 1)) throw component.invalid(`token ${JSON.stringify(token)} has no whole number for its id`);
    vocabulary.set(token, id);
  }
  return vocabulary;
}
