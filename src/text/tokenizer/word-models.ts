import type { Component } from "./component.ts";
import { type TokenModel, vocabularyOf } from "./token-model.ts";

function unknownOf(component: Component, vocabulary: ReadonlyMap<string, number>): number {
  const token = component.text("unk_token");
  const id = vocabulary.get(token);
  if (id === undefined) throw component.invalid(`the unknown token ${JSON.stringify(token)} is not in the vocabulary`);
  return id;
}

/** A token a word. @throws EspalierError INVALID_TOKENIZER */
export function wordLevel(component: Component): TokenModel {
  const vocabulary = vocabularyOf(component);
  const unknown = unknownOf(component, vocabulary);
  return { vocabulary, encode: (word) => [vocabulary.get(word) ?? unknown] };
}

/** The longest tokens that a word can be cut into, from its beginning on. @throws EspalierError INVALID_TOKENIZER */
export function wordPiece(component: Component): TokenModel {
  const vocabulary = vocabularyOf(component);
  const unknown = unknownOf(component, vocabulary);
  const prefix = component.text("continuing_subword_prefix");
  const most = component.count("max_input_chars_per_word");
  return {
    vocabulary,
    encode(word) {
      const characters = [...word];
      if (characters.length > most) return [unknown];
      const ids: number[] = [];
      for (let at = 0; at < characters.length; ) {
        let to = characters.length + 1;
        let id: number | undefined;
        while (id === undefined && --to > at) id = vocabulary.get((at > 0 ? prefix : "") + characters.slice(at, to).join(""));
        if (id === undefined) return [unknown];
        ids.push(id);
        at = to;
      }
      return ids;
    },
  };
}
