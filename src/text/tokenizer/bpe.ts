import { append } from "../../large-lists.ts";
import { bytesOf, byteToken } from "./bytes.ts";
import type { Component } from "./component.ts";
import { MinimumHeap } from "./minimum-heap.ts";
import { type TokenModel, vocabularyOf } from "./token-model.ts";

/** Words whose tokens are remembered, and how long one may be for that. */
const [remembered, longest] = [10_000, 256];

/** Apart from each other in one number: ranks and places, or two ids. */
const apart = 2 ** 26;

/**
 * Byte-pair encoding: a word's characters, joined pair by pair in the order that the merges were learnt.
 *
 * @throws EspalierError INVALID_TOKENIZER, UNSUPPORTED_TOKENIZER if it drops merges at random
 */
export function bpe(component: Component): TokenModel {
  const vocabulary = vocabularyOf(component);
  const idOf = (token: string, what: string): number => {
    const id = vocabulary.get(token);
    if (id === undefined) throw component.invalid(`${what} ${JSON.stringify(token)} is not in the vocabulary`);
    return id;
  };
  if (component.number("dropout", 0) > 0) throw component.unsupported('"dropout", which makes tokens a matter of chance,');
  const prefix = component.text("continuing_subword_prefix", "");
  const suffix = component.text("end_of_word_suffix", "");
  const [fuse, fallback, whole] = ["fuse_unk", "byte_fallback", "ignore_merges"].map((name) => component.flag(name, false));
  const unknown = component.has("unk_token") ? idOf(component.text("unk_token"), "the unknown token") : null;
  const bytes = fallback ? Array.from({ length: 256 }, (_, byte) => vocabulary.get(byteToken(byte))) : [];
  const merges = mergesOf(component, (a, b) => [
    idOf(a, "of a merge,"),
    idOf(b, "of a merge,"),
    idOf(a + [...b].slice([...prefix].length).join(""), "what a merge makes,"),
  ]);

  /** The ids of a word's characters. */
  const begin = (word: string): number[] => {
    const ids: number[] = [];
    const characters = [...word];
    // An unknown token waits for the next known one: several in a row may be one.
    let waiting: number | null = null;
    for (const [i, c] of characters.entries()) {
      const token = (i > 0 ? prefix : "") + c + (i === characters.length - 1 ? suffix : "");
      const id = vocabulary.get(token);
      if (id !== undefined) {
        if (waiting !== null) ids.push(waiting);
        waiting = null;
        ids.push(id);
        continue;
      }
      const parts = fallback ? [...bytesOf(token)].map((byte) => bytes[byte]) : [undefined];
      if (parts.every((p) => p !== undefined)) append(ids, parts);
      else if (unknown !== null) {
        if (waiting !== null && !fuse) ids.push(waiting);
        waiting = unknown;
      }
    }
    if (waiting !== null) ids.push(waiting);
    return ids;
  };

  const known = new Map<string, readonly number[]>();
  return {
    vocabulary,
    encode(word) {
      const id = whole ? vocabulary.get(word) : undefined;
      if (id !== undefined) return [id];
      const before = known.get(word);
      if (before) return before;
      const ids = join(begin(word), merges);
      if (known.size >= remembered) known.clear();
      if (word.length < longest) known.set(word, ids);
      return ids;
    },
  };
}

interface Merge {
  readonly rank: number;
  readonly id: number;
}
type Merges = ReadonlyMap<number, Merge>;

function mergesOf(component: Component, idsOf: (a: string, b: string) => readonly [a: number, b: number, merged: number]): Merges {
  const merges = new Map<number, Merge>();
  for (const [rank, merge] of component.list("merges").entries()) {
    const pair: unknown = typeof merge === "string" ? merge.split(" ") : merge;
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((part) => typeof part === "string"))
      throw component.invalid(`merge ${rank} is not a pair of tokens`);
    const [a, b, id] = idsOf(...(pair as [string, string]));
    merges.set(a * apart + b, { rank, id });
  }
  return merges;
}

/** Joins pairs, the first learnt first, and of one kind the leftmost first. */
function join(ids: number[], merges: Merges): number[] {
  if (ids.length < 2) return ids;
  const next = ids.map((_, i) => i + 1);
  const previous = ids.map((_, i) => i - 1);
  const gone = new Uint8Array(ids.length);
  const waiting = new MinimumHeap();
  const mergeAt = (at: number): Merge | undefined => {
    const to = next[at] as number;
    return to < ids.length ? merges.get((ids[at] as number) * apart + (ids[to] as number)) : undefined;
  };
  const look = (at: number): void => {
    const merge = at < 0 ? undefined : mergeAt(at);
    if (merge) waiting.push(merge.rank * apart + at);
  };
  for (let at = 0; at < ids.length - 1; at++) look(at);
  for (let top = waiting.pop(); top !== undefined; top = waiting.pop()) {
    const at = top % apart;
    const merge = gone[at] ? undefined : mergeAt(at);
    // What waited may have been joined to something else.
    if (!merge || merge.rank !== Math.floor(top / apart)) continue;
    const to = next[at] as number;
    ids[at] = merge.id;
    gone[to] = 1;
    next[at] = next[to] as number;
    if ((next[to] as number) < ids.length) previous[next[to] as number] = at;
    look(previous[at] as number);
    look(at);
  }
  return ids.filter((_, i) => !gone[i]);
}
