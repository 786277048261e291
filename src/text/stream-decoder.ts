import type { Tokenizer } from "./tokenizer.ts";

/** What decoders write for bytes that are no character, or not one yet. */
const replacement = "\uFFFD";

/**
 * Decodes tokens as they come. A token may hold half a character, and its text may depend on the token before it (a
 * leading space is dropped at the start of a text only), so text is taken as the difference that new tokens make to
 * the tokens before them, and held back while it ends inside a character. What is given out stays, even where bytes follow
 * that make no text, for which a decoder would show the bytes before them as U+FFFD too.
 */
export class StreamDecoder {
  /** Tokens of the last whole text, then those whose text is held back. */
  #ids: number[];
  /** How many of `#ids` have been given out. */
  #given: number;

  /** @param context the ids that come before, e.g. of the prompt */
  constructor(
    private readonly tokenizer: Tokenizer,
    context: readonly number[] = [],
  ) {
    this.#ids = [...context];
    this.#given = context.length;
  }

  /** The whole characters that this token completes; `""` if it ends inside one. */
  push(id: number): string {
    this.#ids.push(id);
    const text = this.#difference();
    if (text === "" || text.endsWith(replacement)) return "";
    return this.#give(text);
  }

  /** What is still held back: a character that never came to its end shows as U+FFFD. */
  flush(): string {
    return this.#give(this.#difference());
  }

  #difference(): string {
    const before = this.tokenizer.decode(this.#ids.slice(0, this.#given));
    return this.tokenizer.decode(this.#ids).slice(before.length);
  }

  #give(text: string): string {
    this.#ids = this.#ids.slice(this.#given);
    this.#given = this.#ids.length;
    return text;
  }
}
