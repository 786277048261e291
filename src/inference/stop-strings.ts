import { largest } from "../large-lists.ts";
import { numberAt } from "../number-at.ts";

/** A character (a UTF-16 unit) that is given out, or the id of a special token, which is not. */
type Sign = string | number;

/** How far a text that comes sign by sign has gone into one string (Knuth, Morris and Pratt). */
class Matcher {
  /** By how much was matched: the longest beginning that this also ends with. */
  readonly #shorter: readonly number[];
  #matched = 0;

  constructor(private readonly signs: readonly Sign[]) {
    const shorter = [0, 0];
    for (let n = 1, k = 0; n < signs.length; n++) {
      while (k > 0 && signs[n] !== signs[k]) k = numberAt(shorter, k);
      if (signs[n] === signs[k]) k++;
      shorter.push(k);
    }
    this.#shorter = shorter;
  }

  /** Whether the string has now come whole. */
  push(sign: Sign): boolean {
    // Where no special token is asked for, they do not show.
    if (typeof sign === "number" && !this.signs.includes(sign)) return false;
    while (this.#matched > 0 && sign !== this.signs[this.#matched]) this.#matched = numberAt(this.#shorter, this.#matched);
    if (sign === this.signs[this.#matched]) this.#matched++;
    return this.#matched === this.signs.length;
  }

  /** Characters of the text that belong to what has been matched. */
  get characters(): number {
    return this.signs.slice(0, this.#matched).filter((sign) => typeof sign === "string").length;
  }
}

/**
 * Finds where a text reaches one of the strings that end it, as the text comes in pieces that know nothing of the strings.
 * A string may hold special tokens, though these are not part of the text: it then ends both a text in which the token comes,
 * and one in which its characters are written.
 */
export class StopStrings {
  readonly #matchers: readonly Matcher[];
  #held = "";

  /** @param specialTokens by their ids */
  constructor(strings: readonly string[], specialTokens: ReadonlyMap<number, string> = new Map()) {
    this.#matchers = strings.flatMap((string) => {
      const signs = signsOf(string, specialTokens);
      const plain = string.split("");
      return signs.length === plain.length ? [new Matcher(plain)] : [new Matcher(plain), new Matcher(signs)];
    });
  }

  /**
   * What can be given out: the text up to a stop string, or up to what may yet become one.
   *
   * @param special the id of a special token that follows the text
   */
  push(text: string, special?: number): { readonly text: string; readonly stopped: boolean } {
    const signs: Sign[] = text.split("");
    if (special !== undefined) signs.push(special);
    for (const sign of signs) {
      if (typeof sign === "string") this.#held += sign;
      const reached = this.#matchers.filter((m) => m.push(sign));
      if (reached.length > 0) return { text: this.#without(reached), stopped: true };
    }
    const given = this.#without(this.#matchers);
    this.#held = this.#held.slice(given.length);
    return { text: given, stopped: false };
  }

  /** What was held back, once nothing more comes. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }

  #without(matchers: readonly Matcher[]): string {
    return this.#held.slice(0, this.#held.length - largest([0, ...matchers.map((m) => m.characters)]));
  }
}

/** The string with its special tokens, of those at one place the longest. */
function signsOf(string: string, specialTokens: ReadonlyMap<number, string>): Sign[] {
  const longest = [...specialTokens].filter(([, content]) => content !== "").sort(([, a], [, b]) => b.length - a.length);
  const signs: Sign[] = [];
  for (let at = 0; at < string.length; ) {
    const found = longest.find(([, content]) => string.startsWith(content, at));
    signs.push(found?.[0] ?? (string[at] as string));
    at += found?.[1].length ?? 1;
  }
  return signs;
}
