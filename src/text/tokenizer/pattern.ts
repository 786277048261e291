import { codePointOf } from "../code-point.ts";
import type { Component } from "./component.ts";

/** The pattern of a component: a text as it is, or a regular expression. @throws EspalierError UNSUPPORTED_TOKENIZER */
export function patternOf(component: Component): RegExp {
  const pattern = component.part("pattern");
  if (pattern.has("String")) return new RegExp([...pattern.text("String")].map(literal).join(""), "gv");
  const source = pattern.text("Regex");
  try {
    return new RegExp(new Translation(source).whole(), "gv");
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw component.unsupported(`the regular expression ${JSON.stringify(source)} (${error.message})`);
  }
}

const word = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
/** Oniguruma takes these for part of a word, but not within brackets. */
const wordOutside = `${word}\\u00B2\\u00B3\\u00B9\\u00BC-\\u00BE`;
const hex = "0-9A-Fa-f";
const space = "\\p{White_Space}";

/** What stands within `[:` and `:]`, or by Oniguruma's own names within `\p{}`. */
const posix: Readonly<Record<string, string>> = {
  alnum: "\\p{Alphabetic}\\p{Nd}",
  alpha: "\\p{Alphabetic}",
  ascii: "\\p{ASCII}",
  blank: "\\t\\p{Zs}",
  cntrl: "\\p{Cc}",
  digit: "\\p{Nd}",
  lower: "\\p{Lowercase}",
  punct: "\\p{P}\\p{S}",
  space,
  upper: "\\p{Uppercase}",
  word,
  xdigit: hex,
};
const named: Readonly<Record<string, string>> = { ...posix, punct: "\\p{P}", word: wordOutside, any: "\\p{Any}" };

/** Sets by one letter: within brackets, and outside of them where that differs. Their capitals are the complements. */
const sets: Readonly<Record<string, readonly [within: string, outside?: string]>> = {
  d: ["\\p{Nd}"],
  h: [hex],
  s: [space],
  w: [word, wordOutside],
};

const controls: Readonly<Record<string, number>> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, e: 27 };

const [start, end] = ["(?<![\\s\\S])", "(?![\\s\\S])"];
const inWord = `[${wordOutside}]`;
const anchors: Readonly<Record<string, string>> = {
  A: start,
  z: end,
  Z: `(?=\\n?${end})`,
  b: `(?:(?<!${inWord})(?=${inWord})|(?<=${inWord})(?!${inWord}))`,
  B: `(?:(?<!${inWord})(?!${inWord})|(?<=${inWord})(?=${inWord}))`,
};

/** Two letters that one character stands for, where case is ignored: ß, and the ligatures. */
const pairs: ReadonlySet<string> = new Set(["ss", "ff", "fi", "fl", "st"]);

const literal = (character: string): string => `\\u{${codePointOf(character).toString(16)}}`;

/** A character with those that differ from it in case alone. */
function cases(character: string): string[] {
  const more = { s: "ſ", k: "\u212A" }[character.toLowerCase()] ?? "";
  return [...new Set([character, character.toLowerCase(), character.toUpperCase(), ...more])].filter((c) => [...c].length === 1);
}

interface Options {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
}

/**
 * A regular expression of Oniguruma, in the syntax of Ruby, which tokenizer.json uses, made one of JavaScript with the flag `v`.
 * What it cannot say is refused with a SyntaxError: back references, `\G`, `\K`, `\X`, conditions, calls.
 *
 * Source: Oniguruma's doc/RE.
 */
class Translation {
  readonly #characters: readonly string[];
  #at = 0;
  #atomic = 0;
  #behind = 0;

  constructor(source: string) {
    this.#characters = [...source];
  }

  whole(): string {
    const found = this.#alternatives({ ignoreCase: false, dotAll: false });
    if (this.#at < this.#characters.length) throw new SyntaxError("a bracket is closed that was not opened");
    return found;
  }

  #peek(text: string): boolean {
    return [...text].every((c, i) => this.#characters[this.#at + i] === c);
  }

  #eat(text: string): boolean {
    const found = this.#peek(text);
    if (found) this.#at += text.length;
    return found;
  }

  #take(): string {
    const c = this.#characters[this.#at++];
    if (c === undefined) throw new SyntaxError("it ends too early");
    return c;
  }

  #until(text: string): string {
    let found = "";
    while (!this.#eat(text)) found += this.#take();
    return found;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    const found = pattern.exec(this.#characters.slice(this.#at, this.#at + 24).join(""));
    if (found) this.#at += [...found[0]].length;
    return found;
  }

  /** Up to the end, or to the bracket that closes the group. */
  #alternatives(options: Options): string {
    let out = "";
    let before = "";
    while (this.#at < this.#characters.length && !this.#peek(")")) {
      if (this.#eat("(?#")) this.#until(")");
      else if (this.#eat("|")) out += "|";
      else {
        const change = this.#match(/^\(\?([a-z]*)(?:-([a-z]*))?\)/);
        // It holds for all that follows in the group, alternatives too.
        if (change) return `${out}(?:${this.#alternatives(changed(options, change))})`;
        const c = this.#characters[this.#at] as string;
        if (options.ignoreCase && pairs.has(before + c.toLowerCase())) throw new SyntaxError(`"${before}${c}" where case is ignored`);
        before = c.toLowerCase();
        out += this.#quantified(options);
      }
    }
    return out;
  }

  #quantified(options: Options): string {
    let atom = this.#atom(options);
    for (let first = true; ; first = false) {
      const found = this.#match(/^(?:([*+?])([?+]?)|\{(\d*)(?:(,)(\d*))?\}(\??))/);
      if (!found) return atom;
      const [text, sign, manner, least = "", comma, most = "", lazy] = found;
      if (sign === undefined && least === "" && most === "") {
        // No quantifier, but a text in braces.
        this.#at -= text.length;
        return atom;
      }
      if (lazy && comma === undefined) throw new SyntaxError(`the quantifier ${text}`);
      const count = sign ?? `{${least || "0"}${comma ?? ""}${most}}`;
      if (!first) atom = `(?:${atom})`;
      atom = manner === "+" ? this.#atomicGroup(`${atom}${count}`) : `${atom}${count}${manner || lazy ? "?" : ""}`;
    }
  }

  /** Once matched it is not tried otherwise: a lookahead is not entered again, and what it found is repeated. */
  #atomicGroup(body: string): string {
    if (this.#behind > 0) throw new SyntaxError("an atomic group that is looked back for");
    const name = `a${this.#atomic++}`;
    return `(?:(?=(?<${name}>${body}))\\k<${name}>)`;
  }

  #atom(options: Options): string {
    const c = this.#take();
    switch (c) {
      case "(":
        return this.#group(options);
      case "[":
        return this.#class(options);
      case ".":
        return options.dotAll ? "[\\s\\S]" : "[^\\n]";
      case "^":
        return `(?:${start}|(?<=\\n)(?!${end}))`;
      case "$":
        return `(?=\\n|${end})`;
      case "*":
      case "+":
      case "?":
        throw new SyntaxError(`${c} has nothing to repeat`);
      case "\\":
        return this.#escape(options);
      default:
        return this.#literal(c, options);
    }
  }

  #literal(c: string, { ignoreCase }: Options): string {
    const all = ignoreCase ? cases(c) : [c];
    return all.length > 1 ? `[${all.map(literal).join("")}]` : literal(c);
  }

  #group(options: Options): string {
    const close = (opening: string, inner = options): string => {
      const body = this.#alternatives(inner);
      if (!this.#eat(")")) throw new SyntaxError("a bracket is not closed");
      return `${opening}${body})`;
    };
    if (!this.#eat("?")) return close("(?:");
    if (this.#eat(">")) return this.#atomicGroup(close("(?:"));
    for (const opening of [":", "=", "!"]) if (this.#eat(opening)) return close(`(?${opening}`);
    for (const opening of ["<=", "<!"])
      if (this.#eat(opening)) {
        this.#behind++;
        const found = close(`(?${opening}`);
        this.#behind--;
        return found;
      }
    if (this.#match(/^<\w+>/)) return close("(?:");
    const change = this.#match(/^([a-z]*)(?:-([a-z]*))?:/);
    if (!change) throw new SyntaxError(`the group (?${this.#take()}`);
    return close("(?:", changed(options, change));
  }

  /** After a backslash outside of brackets. */
  #escape(options: Options): string {
    const c = this.#take();
    const set = sets[c.toLowerCase()];
    if (set) return `[${c === c.toLowerCase() ? "" : "^"}${set[1] ?? set[0]}]`;
    if (anchors[c]) return anchors[c];
    if (c === "R") return "(?:\\r\\n|[\\n-\\r\\u0085\\u2028\\u2029])";
    if (c === "p" || c === "P") return this.#property(c === "P", options);
    return this.#literal(this.#character(c), options);
  }

  /** The character that follows a backslash, or that its letter and digits stand for. */
  #character(c: string): string {
    if (c === "x" || c === "u") {
      const digits = this.#match(c === "u" ? /^([0-9A-Fa-f]{4})/ : /^(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})/);
      if (!digits) throw new SyntaxError(`\\${c} without its digits`);
      return String.fromCodePoint(Number.parseInt(digits[1] ?? (digits[2] as string), 16));
    }
    if (controls[c] !== undefined) return String.fromCodePoint(controls[c]);
    if (/[0-9A-Za-z]/.test(c)) throw new SyntaxError(`\\${c}`);
    return c;
  }

  /** After `\p` or `\P`. */
  #property(negated: boolean, { ignoreCase }: Options): string {
    if (!this.#eat("{")) throw new SyntaxError("\\p without a name");
    const not = this.#eat("^") !== negated;
    const name = this.#until("}");
    if (ignoreCase && /^(?:l[ult]|upper|lower)/i.test(name)) throw new SyntaxError(`\\p{${name}} where case is ignored`);
    const own = named[name.toLowerCase()];
    if (own) return `[${not ? "^" : ""}${own}]`;
    const proper = name.toLowerCase().replace(/(?<![a-z])[a-z]/g, (c) => c.toUpperCase());
    const known = [name, proper, `Script=${proper}`].find(isProperty);
    if (known === undefined) throw new SyntaxError(`\\p{${name}}`);
    return `\\${not ? "P" : "p"}{${known}}`;
  }

  /** After an opening bracket. */
  #class(options: Options): string {
    const negated = this.#eat("^");
    const operands: string[] = [""];
    const add = (members: string) => operands.push((operands.pop() as string) + members);
    for (let first = true; first || !this.#eat("]"); first = false) {
      if (this.#eat("&&")) operands.push("");
      else if (this.#peek("[:")) add(this.#bracketed());
      else if (this.#eat("[")) add(this.#class(options));
      else {
        const from = this.#member(options);
        if (from.length > 2) add(from);
        else if (this.#peek("-") && !this.#peek("-]") && !this.#peek("-&&")) {
          this.#take();
          const to = this.#member(options);
          if (to.length > 2) throw new SyntaxError("a set at the end of a range");
          add(range(from, to, options));
        } else add(range(from, from, options));
      }
    }
    if (operands.includes("")) throw new SyntaxError("an empty set");
    return `[${negated ? "^" : ""}${operands.length === 1 ? operands[0] : operands.map((o) => `[${o}]`).join("&&")}]`;
  }

  /** A character, or a set as JavaScript writes it: that has more than two code units. */
  #member(options: Options): string {
    const c = this.#take();
    if (c !== "\\") return c;
    const e = this.#take();
    const set = sets[e.toLowerCase()];
    if (set) return `[${e === e.toLowerCase() ? "" : "^"}${set[0]}]`;
    if (e !== "p" && e !== "P") return this.#character(e);
    return `[${this.#property(e === "P", options).replace(wordOutside, word)}]`;
  }

  /** `[:alpha:]` */
  #bracketed(): string {
    const found = this.#match(/^\[:(\^?)([a-z]+):\]/);
    const members = found && posix[found[2] as string];
    if (!members) throw new SyntaxError("a set between colons");
    return `[${found[1]}${members}]`;
  }
}

function range(from: string, to: string, { ignoreCase }: Options): string {
  const plain = from === to ? literal(from) : `${literal(from)}-${literal(to)}`;
  if (!ignoreCase) return plain;
  const [first, last] = [codePointOf(from), codePointOf(to)];
  if (last - first > 1000) throw new SyntaxError("a long range where case is ignored");
  let more = "";
  for (let code = first; code <= last; code++) for (const c of cases(String.fromCodePoint(code))) more += literal(c);
  return plain + more;
}

function changed(options: Options, [text, on = "", off = ""]: RegExpExecArray): Options {
  if (/[^im]/.test(on + off)) throw new SyntaxError(`the options ${text}`);
  const set = (letter: string, before: boolean) => (on.includes(letter) ? true : off.includes(letter) ? false : before);
  // In Ruby's syntax a dot takes line breaks by the option m.
  return { ignoreCase: set("i", options.ignoreCase), dotAll: set("m", options.dotAll) };
}

function isProperty(name: string): boolean {
  try {
    new RegExp(`\\p{${name}}`, "v");
    return true;
  } catch {
    return false;
  }
}
