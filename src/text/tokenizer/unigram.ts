import { bytesOf, byteToken } from "./bytes.ts";
import type { Component } from "./component.ts";
import type { TokenModel } from "./token-model.ts";

/** By how much an unknown character is less probable than the least probable token. */
const unknownPenalty = 10;

/**
 * Tokens with log probabilities: a text becomes those whose sum is largest (Viterbi). Unknown characters in a row are one token,
 * or their bytes.
 *
 * @throws EspalierError INVALID_TOKENIZER
 */
export function unigram(component: Component): TokenModel {
  const pieces = component.list("vocab").map((entry, i) => {
    if (!Array.isArray(entry) || typeof entry[0] !== "string" || typeof entry[1] !== "number")
      throw component.invalid(`entry ${i} of "vocab" is not a token with its score`);
    return entry as [token: string, score: number];
  });
  const unknown = component.has("unk_id") ? component.count("unk_id") : null;
  if (unknown === null) throw component.unsupported('a vocabulary without "unk_id"');
  if (unknown >= pieces.length) throw component.invalid('"unk_id" lies outside of the vocabulary');
  const vocabulary = new Map(pieces.map(([token], id) => [token, id]));
  const scoreOf = pieces.map(([, score]) => score);
  const unknownScore = scoreOf.reduce((a, b) => Math.min(a, b), Infinity) - unknownPenalty;
  const most = pieces.reduce((n, [token]) => Math.max(n, token.length), 0);
  const begins = beginnings(vocabulary);
  const fallback = component.flag("byte_fallback", false);
  const bytes = Array.from({ length: 256 }, (_, byte) => (fallback ? vocabulary.get(byteToken(byte)) : undefined));

  /** The best path: by where it ends, where its last token begins and that token's id. */
  const cut = (text: string): { readonly from: Int32Array; readonly ids: Int32Array } => {
    const from = new Int32Array(text.length + 1).fill(-1);
    const ids = new Int32Array(text.length + 1);
    const best = new Float64Array(text.length + 1);
    const offer = (at: number, to: number, id: number, score: number): void => {
      const sum = (best[at] as number) + score;
      if (from[to] !== -1 && sum <= (best[to] as number)) return;
      [from[to], ids[to], best[to]] = [at, id, sum];
    };
    for (let at = 0; at < text.length; ) {
      const one = (text.codePointAt(at) as number) > 0xffff ? 2 : 1;
      let single = false;
      for (let to = at + one; to <= Math.min(text.length, at + most); to++) {
        const token = text.slice(at, to);
        const id = vocabulary.get(token);
        if (id !== undefined) {
          offer(at, to, id, scoreOf[id] as number);
          single ||= to === at + one;
        }
        if (!begins.has(token)) break;
      }
      if (!single) offer(at, at + one, unknown, unknownScore);
      at += one;
    }
    return { from, ids };
  };

  return {
    vocabulary,
    encode(text) {
      const { from, ids } = cut(text);
      const parts: string[] = [];
      let fused = false;
      for (let end = text.length; end > 0; end = from[end] as number) {
        const part = text.slice(from[end], end);
        const isUnknown = ids[end] === unknown;
        if (isUnknown && fused) parts.push(part + (parts.pop() as string));
        else parts.push(part);
        fused = isUnknown;
      }
      return parts.reverse().flatMap((part) => {
        const id = vocabulary.get(part);
        if (id !== undefined) return [id];
        const known = [...bytesOf(part)].map((byte) => bytes[byte]).filter((b) => b !== undefined);
        return known.length === Buffer.byteLength(part) ? known : [unknown];
      });
    },
  };
}

/** What longer tokens begin with. */
function beginnings(vocabulary: ReadonlyMap<string, number>): ReadonlySet<string> {
  const found = new Set<string>();
  for (const token of vocabulary.keys()) for (let n = 1; n < token.length; n++) found.add(token.slice(0, n));
  return found;
}
