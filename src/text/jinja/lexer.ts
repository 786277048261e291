import { codePointOf } from "../code-point.ts";
import { TemplateError } from "./template-error.ts";

/** `begin` and `end` are those of blocks and prints; text between them is `data`. */
export interface Token {
  readonly type:
    | "data"
    | "begin block"
    | "end block"
    | "begin print"
    | "end print"
    | "name"
    | "string"
    | "integer"
    | "float"
    | "operator"
    | "end";
  readonly value: string;
  readonly line: number;
}

/** White space as Python sees it, which is not as JavaScript does. */
export const pythonSpace = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const s = `[${pythonSpace}]`;
const sticky = (source: string, flags = ""): RegExp => new RegExp(source, `uy${flags}`);

const endOfBlock = `(?:\\+%\\}|-%\\}${s}*|%\\}\\n?)`;
const endOfComment = sticky(`([^]*?)(?:\\+#\\}|-#\\}${s}*|#\\}\\n?)`);
const endOfRaw = sticky(`([^]*?)\\{%([-+]?)${s}*endraw${s}*${endOfBlock}`);
const raw = sticky(`\\{%[-+]?${s}*raw${s}*(?:-%\\}${s}*|%\\})`);
const opening = /\{([%{#])([-+]?)/gu;
const ends = { block: sticky(endOfBlock), print: sticky(`(?:-\\}\\}${s}*|\\}\\})`) };

const lexemes: readonly (readonly [type: Token["type"] | "space", pattern: RegExp])[] = [
  ["space", sticky(`${s}+`)],
  ["float", sticky("(?<!\\.)(?:\\d+_)*\\d+(?:(?:\\.(?:\\d+_)*\\d+)?e[+-]?(?:\\d+_)*\\d+|\\.(?:\\d+_)*\\d+)", "i")],
  ["integer", sticky("0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\\da-f])+|[1-9](?:_?\\d)*|0(?:_?0)*", "i")],
  ["name", sticky("[\\p{ID_Start}_]\\p{ID_Continue}*")],
  ["string", sticky("'(?:[^'\\\\]|\\\\[^])*'|\"(?:[^\"\\\\]|\\\\[^])*\"")],
  ["operator", sticky("\\*\\*|//|==|!=|>=|<=|[-+/*%~[\\](){}>=<.:|,;]")],
];
const brackets: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

/**
 * Cuts a template into tokens, with the settings of Hugging Face's chat templates: the line break after a block goes, and so
 * does the white space before it, if nothing else stands on the line.
 *
 * @throws TemplateError
 */
export function tokenize(template: string): Token[] {
  const source = template.replace(/\r\n|\r/gu, "\n").replace(/\n$/u, "");
  const tokens: Token[] = [];
  let at = 0;
  let line = 1;
  /** Whether what was read last ended a line. */
  let lineStarts = true;

  const moveTo = (to: number): void => {
    line += source.slice(at, to).split("\n").length - 1;
    if (to > at) lineStarts = source[to - 1] === "\n";
    at = to;
  };
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(source);
    if (found) moveTo(pattern.lastIndex);
    return found;
  };
  const data = (text: string, sign: string, strips: boolean): void => {
    let kept = text;
    if (sign === "-") kept = text.replace(new RegExp(`${s}+$`, "u"), "");
    else if (sign === "" && strips) {
      const from = text.lastIndexOf("\n") + 1;
      if ((from > 0 || lineStarts) && new RegExp(`^${s}*$`, "u").test(text.slice(from))) kept = text.slice(0, from);
    }
    if (kept !== "") tokens.push({ type: "data", value: kept, line });
  };

  while (at < source.length) {
    opening.lastIndex = at;
    const found = opening.exec(source);
    const to = found?.index ?? source.length;
    const [, kind = "", sign = ""] = found ?? [];
    data(source.slice(at, to), found ? sign : "+", kind !== "{");
    moveTo(to);
    if (!found) break;
    if (kind === "#") {
      const begun = line;
      moveTo(to + 2);
      if (!take(endOfComment)) throw new TemplateError("a comment has no end", begun);
      continue;
    }
    if (take(raw)) {
      const begun = line;
      const before = { at, lineStarts };
      endOfRaw.lastIndex = at;
      const body = endOfRaw.exec(source);
      if (!body) throw new TemplateError("raw has no endraw", begun);
      at = before.at;
      data(body[1] as string, body[2] as string, true);
      moveTo(endOfRaw.lastIndex);
      continue;
    }
    moveTo(to + 2 + sign.length);
    inside(kind === "%" ? "block" : "print");
  }
  tokens.push({ type: "end", value: "", line });
  return tokens;

  function inside(what: "block" | "print"): void {
    tokens.push({ type: `begin ${what}`, value: "", line });
    const begun = line;
    const open: string[] = [];
    for (;;) {
      if (open.length === 0 && take(ends[what])) {
        tokens.push({ type: `end ${what}`, value: "", line });
        return;
      }
      if (at >= source.length) throw new TemplateError(`a ${what} has no end`, begun);
      next(open);
    }
  }

  function next(open: string[]): void {
    const begun = line;
    for (const [type, pattern] of lexemes) {
      const value = take(pattern)?.[0];
      if (value === undefined) continue;
      if (type === "space") return;
      if (brackets[value]) open.push(brackets[value]);
      else if (/^[)\]}]$/u.test(value) && open.pop() !== value) throw new TemplateError(`"${value}" closes nothing`, begun);
      tokens.push({ type, value, line: begun });
      return;
    }
    throw new TemplateError(`the character "${String.fromCodePoint(codePointOf(source, at))}" stands where none is understood`, begun);
  }
}
