import { numberAt } from "../../../number-at.ts";

/**
 * Merges that join what a vocabulary with scores joins, in that order: those that make the token of the highest score come first. Of one
 * token's, those of earlier parts.
 *
 * Source: how SentencePiece's byte-pair models are converted, Hugging Face's transformers.
 *
 * @param joins whether a token may be joined of others, and be part of one
 */
export function mergesOfScores(
  tokens: readonly string[],
  scores: readonly number[],
  joins: (id: number) => boolean,
): readonly (readonly [string, string])[] {
  const ids = new Map(tokens.flatMap((token, id) => (joins(id) ? [[token, id] as const] : [])));
  const order = [...ids.values()].sort((a, b) => numberAt(scores, b) - numberAt(scores, a) || a - b);
  const merges: (readonly [string, string])[] = [];
  for (const id of order) {
    const characters = [...(tokens[id] as string)];
    const own: { readonly pair: readonly [string, string]; readonly at: readonly [number, number] }[] = [];
    for (let i = 1; i < characters.length; i++) {
      const [left, right] = [characters.slice(0, i).join(""), characters.slice(i).join("")];
      const [a, b] = [ids.get(left), ids.get(right)];
      if (a !== undefined && b !== undefined) own.push({ pair: [left, right], at: [a, b] });
    }
    own.sort((x, y) => x.at[0] - y.at[0] || x.at[1] - y.at[1]);
    for (const { pair } of own) merges.push(pair);
  }
  return merges;
}
