import type { Component } from "./component.ts";
import type { Normalize } from "./normalizers.ts";
import { rustWord } from "./pre-tokenizers.ts";

/** A token that is found in a text before all else. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** A control sign, and never text. */
  readonly special: boolean;
  /** Only where no word goes on before or after it. */
  readonly singleWord: boolean;
  /** It takes the white space before it, and after it. */
  readonly left: boolean;
  readonly right: boolean;
  /** Looked for in the normalised text. */
  readonly normalized: boolean;
}

/**
 * The added tokens that the file lists, with the ids that it states.
 *
 * @throws EspalierError INVALID_TOKENIZER if the vocabulary says otherwise
 */
export function addedTokens(file: Component, vocabulary: ReadonlyMap<string, number>): AddedToken[] {
  const contents = new Map([...vocabulary].map(([token, id]) => [id, token]));
  return file.parts("added_tokens").flatMap((component) => {
    const [id, content, special] = [component.count("id"), component.text("content"), component.flag("special", false)];
    const other = vocabulary.get(content) ?? id;
    const stands = contents.get(id) ?? content;
    if (other !== id || stands !== content)
      throw component.invalid(`${JSON.stringify(content)} has the id ${id}, which in the vocabulary is ${JSON.stringify(stands)}`);
    contents.set(id, content);
    if (content === "") return [];
    return {
      id,
      content,
      special,
      singleWord: component.flag("single_word", false),
      left: component.flag("lstrip", false),
      right: component.flag("rstrip", false),
      normalized: component.flag("normalized", !special),
    };
  });
}

/** A text between added tokens, or the id of one. */
export type Piece = string | number;

const [wordBefore, wordAfter] = [new RegExp(`${rustWord}$`, "v"), new RegExp(`^${rustWord}`, "v")];
const isSpace = (c: string | undefined): boolean => c !== undefined && /\p{White_Space}/u.test(c);

/** Cuts a text where these tokens stand: of those at one place the longest. No text between them is empty. */
export function finder(tokens: readonly AddedToken[], normalize: Normalize): (text: string) => Piece[] {
  const trie = new Trie();
  for (const token of tokens) trie.add(normalize(token.content), token);
  return (text) => {
    const pieces: Piece[] = [];
    let from = 0;
    const push = (to: number) => {
      if (from < to) pieces.push(text.slice(from, to));
    };
    for (const { token, begin, end } of trie.matches(text)) {
      if (token.singleWord && (wordBefore.test(text.slice(Math.max(0, begin - 2), begin)) || wordAfter.test(text.slice(end, end + 2))))
        continue;
      let [left, right] = [begin, end];
      if (token.left) while (isSpace(text[left - 1])) left--;
      if (token.right) while (isSpace(text[right])) right++;
      push(left);
      pieces.push(token.id);
      from = right;
    }
    push(text.length);
    return pieces;
  };
}

interface Node {
  readonly children: Map<string, Node>;
  token?: AddedToken;
}

class Trie {
  readonly #root: Node = { children: new Map() };

  add(content: string, token: AddedToken): void {
    let node = this.#root;
    for (let i = 0; i < content.length; i++) {
      const c = content[i] as string;
      const child = node.children.get(c) ?? { children: new Map() };
      node.children.set(c, child);
      node = child;
    }
    if (node !== this.#root) node.token = token;
  }

  /** From left to right, the longest at each place, none over another. */
  *matches(text: string): Iterable<{ readonly token: AddedToken; readonly begin: number; readonly end: number }> {
    for (let begin = 0; begin < text.length; begin++) {
      let found: { token: AddedToken; begin: number; end: number } | null = null;
      let node = this.#root.children.get(text[begin] as string);
      for (let end = begin + 1; node; node = node.children.get(text[end++] as string))
        if (node.token) found = { token: node.token, begin, end };
      if (!found) continue;
      yield found;
      begin = found.end - 1;
    }
  }
}
