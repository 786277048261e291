/** Finds where a text reaches one of the strings that end it, as the text comes in pieces that know nothing of the strings. */
export class StopStrings {
  #held = "";

  constructor(private readonly strings: readonly string[]) {}

  /** What can be given out: the text up to a stop string, or up to what may yet become one. */
  push(text: string): { readonly text: string; readonly stopped: boolean } {
    const all = this.#held + text;
    const found = this.strings.map((s) => all.indexOf(s)).filter((at) => at >= 0);
    if (found.length > 0) return { text: all.slice(0, Math.min(...found)), stopped: true };
    const begun = Math.max(0, ...this.strings.map((s) => overlap(all, s)));
    this.#held = all.slice(all.length - begun);
    return { text: all.slice(0, all.length - begun), stopped: false };
  }

  /** What was held back, once nothing more comes. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }
}

/** How much of the string's beginning the text ends with. */
function overlap(text: string, string: string): number {
  for (let n = Math.min(text.length, string.length - 1); n > 0; n--) if (text.endsWith(string.slice(0, n))) return n;
  return 0;
}
