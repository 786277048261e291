import { braceFormat } from "./formatting.ts";
import { bound, needed } from "./given.ts";
import { pythonSpace } from "./lexer.ts";
import { largest } from "./limits.ts";
import { type Dict, equal, fail, type Given, isInt, iterate, keyOf, type Range, Tuple, truth, typeOf, type Value, View } from "./values.ts";

export type Method<Self = never> = (self: Self, given: Given) => Value;

/** What would change a value: Jinja's immutable sandbox has none of it. */
export const unsafe: ReadonlySet<string> = new Set(
  "append clear extend insert pop popitem remove reverse setdefault sort update __class__ __init__ __globals__".split(" "),
);

const string = (value: Value | undefined, name: string): string => {
  const found = needed(value, name);
  return typeof found === "string" ? found : fail(`'${name}' must be str, not ${typeOf(found)}`);
};
const whole = (value: Value | undefined, otherwise: number): number => {
  if (value == null) return otherwise;
  return isInt(value) ? Number(value) : fail(`'${typeOf(value)}' object cannot be interpreted as an integer`);
};

/** Without these characters at its ends; white space if none are given. */
export function stripped(text: string, characters: Value | undefined, left: boolean, right: boolean): string {
  const given = characters == null ? null : new Set(string(characters, "chars"));
  const goes = (c: string | undefined) => c !== undefined && (given ? given.has(c) : space.test(c));
  const all = [...text];
  let [from, to] = [0, all.length];
  if (left) while (from < to && goes(all[from])) from++;
  if (right) while (to > from && goes(all[to - 1])) to--;
  return all.slice(from, to).join("");
}
const space = new RegExp(`[${pythonSpace}]`, "u");

function splitText(text: string, given: Given, backwards: boolean): string[] {
  const { sep, maxsplit } = bound(given, "sep", "maxsplit");
  const limit = whole(maxsplit, -1);
  const parts =
    sep == null
      ? text.split(new RegExp(`[${pythonSpace}]+`, "u")).filter((p) => p !== "")
      : text.split(string(sep, "sep") || fail("empty separator"));
  if (limit < 0 || parts.length <= limit + 1) return parts;
  if (sep != null) {
    const joint = sep as string;
    return backwards
      ? [parts.slice(0, parts.length - limit).join(joint), ...parts.slice(parts.length - limit)]
      : [...parts.slice(0, limit), parts.slice(limit).join(joint)];
  }
  // The white space within what is left over stays.
  const word = new RegExp(`[^${pythonSpace}]+`, "gu");
  const found = [...text.matchAll(word)];
  if (backwards) {
    const last = found[found.length - limit - 1] as RegExpExecArray;
    return [
      stripped(text.slice(0, last.index + last[0].length), undefined, true, false),
      ...found.slice(found.length - limit).map(([w]) => w),
    ];
  }
  return [...found.slice(0, limit).map(([w]) => w), stripped(text.slice(found[limit]?.index), undefined, false, true)];
}

const breaks = "\\n\\v\\f\\r\\x1c-\\x1e\\x85\\u2028\\u2029";
const line = new RegExp(`([^${breaks}]*)(\\r\\n|[${breaks}]|$)`, "gu");

/** Lines as Python breaks them, with what ends them or without. */
export const linesOf = (text: string, ends = false): string[] =>
  [...text.matchAll(line)].filter(([whole]) => whole !== "").map(([whole, body]) => (ends ? whole : (body as string)));

/** Places are counted by characters. */
function place(text: string, given: Given, last: boolean): number {
  const { sub, start, end } = bound(given, "sub", "start", "end");
  const all = [...text].slice(0, end === undefined ? undefined : whole(end, 0));
  const from = whole(start, 0);
  const begun = all.slice(from);
  const within = begun.join("");
  const at = last ? within.lastIndexOf(string(sub, "sub")) : within.indexOf(string(sub, "sub"));
  return at < 0 ? -1 : [...within.slice(0, at)].length + (all.length - begun.length);
}

const orFail = (at: number): bigint => (at < 0 ? fail("substring not found") : BigInt(at));

function affix(text: string, given: Given, fits: (text: string, part: string) => boolean): boolean {
  const { part, start, end } = bound(given, "part", "start", "end");
  const within = [...text].slice(whole(start, 0), end == null ? undefined : whole(end, 0)).join("");
  const parts = part instanceof Tuple ? part.items : [needed(part, "prefix")];
  return parts.some((p) => fits(within, string(p, "prefix")));
}

const title = (text: string): string => text.replace(/\p{L}+/gu, (word) => capitalized(word));
/** Letters of two that have a form for the beginning of a word. */
const digraphs: Readonly<Record<string, string>> = { Ǆ: "ǅ", Ǉ: "ǈ", Ǌ: "ǋ", Ǳ: "ǲ" };
export const capitalized = (text: string): string => {
  const [first = "", ...rest] = text;
  const [upper = "", ...more] = first.toUpperCase();
  return (digraphs[upper] ?? upper) + more.join("").toLowerCase() + rest.join("").toLowerCase();
};

function padded(text: string, given: Given, align: "left" | "right" | "center"): string {
  const { width, fillchar = " " } = bound(given, "width", "fillchar");
  const size = whole(needed(width, "width"), 0);
  if (size > largest.text) fail("a width is too large");
  const missing = Math.max(0, size - [...text].length);
  const fill = (n: number) => string(fillchar, "fillchar").repeat(n);
  if (align === "left") return text + fill(missing);
  if (align === "right") return fill(missing) + text;
  // Python puts the odd one before, if the width is odd as well.
  const before = Math.floor(missing / 2) + (missing & size & 1);
  return fill(before) + text + fill(missing - before);
}

function replaced(text: string, given: Given): string {
  const { old, new: to, count } = bound(given, "old", "new", "count");
  const [from, into, most] = [string(old, "old"), string(to, "new"), whole(count, -1)];
  const parts = from === "" ? ["", ...text, ""] : text.split(from);
  const places = most < 0 ? parts.length - 1 : Math.min(most, parts.length - 1);
  if (text.length + places * into.length > largest.text) return fail("a text is too long");
  return (
    parts.slice(0, places + 1).join(into) +
    parts
      .slice(places + 1)
      .map((p) => from + p)
      .join("")
  );
}

function parted(text: string, given: Given, last: boolean): Tuple {
  const sep = string(bound(given, "sep").sep, "sep");
  const at = last ? text.lastIndexOf(sep) : text.indexOf(sep);
  if (at < 0) return new Tuple(last ? ["", "", text] : [text, "", ""]);
  return new Tuple([text.slice(0, at), sep, text.slice(at + sep.length)]);
}

const every =
  (pattern: RegExp): Method<string> =>
  (text) =>
    text !== "" && [...text].every((c) => pattern.test(c));

const cased =
  (form: (text: string) => string): Method<string> =>
  (text) =>
    text === form(text) && text.toLowerCase() !== text.toUpperCase();

const joinedBy: Method<string> = (text, given) => {
  const items = iterate(needed(bound(given, "iterable").iterable, "iterable"));
  return items.map((i) => (typeof i === "string" ? i : fail(`expected str instance, ${typeOf(i)} found`))).join(text);
};

/** The methods of a str. */
export const stringMethods: Readonly<Record<string, Method<string>>> = {
  capitalize: (text) => capitalized(text),
  casefold: (text) => text.toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ"),
  center: (text, given) => padded(text, given, "center"),
  count: (text, given) => BigInt(text.split(string(bound(given, "sub").sub, "sub")).length - 1),
  endswith: (text, given) => affix(text, given, (t, part) => t.endsWith(part)),
  find: (text, given) => BigInt(place(text, given, false)),
  format: (text, given) => braceFormat(text, given),
  index: (text, given) => orFail(place(text, given, false)),
  isalnum: every(/[\p{L}\p{N}]/u),
  isalpha: every(/\p{L}/u),
  isdecimal: every(/\p{Nd}/u),
  isdigit: every(/[\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨]/u),
  islower: cased((text) => text.toLowerCase()),
  isnumeric: every(/\p{N}/u),
  isspace: every(space),
  isupper: cased((text) => text.toUpperCase()),
  join: joinedBy,
  ljust: (text, given) => padded(text, given, "left"),
  lower: (text) => text.toLowerCase(),
  lstrip: (text, given) => stripped(text, bound(given, "chars").chars, true, false),
  partition: (text, given) => parted(text, given, false),
  removeprefix: (text, given) => {
    const prefix = string(bound(given, "prefix").prefix, "prefix");
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  },
  removesuffix: (text, given) => {
    const suffix = string(bound(given, "suffix").suffix, "suffix");
    return suffix !== "" && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
  },
  replace: replaced,
  rfind: (text, given) => BigInt(place(text, given, true)),
  rindex: (text, given) => orFail(place(text, given, true)),
  rjust: (text, given) => padded(text, given, "right"),
  rpartition: (text, given) => parted(text, given, true),
  rsplit: (text, given) => splitText(text, given, true),
  rstrip: (text, given) => stripped(text, bound(given, "chars").chars, false, true),
  split: (text, given) => splitText(text, given, false),
  splitlines: (text, given) => linesOf(text, truth(bound(given, "keepends").keepends ?? false)),
  startswith: (text, given) => affix(text, given, (t, part) => t.startsWith(part)),
  strip: (text, given) => stripped(text, bound(given, "chars").chars, true, true),
  swapcase: (text) => [...text].map((c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase())).join(""),
  title: (text) => title(text),
  upper: (text) => text.toUpperCase(),
  zfill: (text, given) => {
    const [sign = ""] = /^[-+]/u.exec(text) ?? [];
    return (
      sign +
      padded(text.slice(sign.length), { positional: [BigInt(whole(given.positional[0], 0) - sign.length), "0"], named: new Map() }, "right")
    );
  },
};

/** Those of a dict, but for what would change it. */
export const dictMethods: Readonly<Record<string, Method<Dict>>> = {
  copy: (dict) => new Map(dict),
  get: (dict, given) => {
    const { key, default: otherwise = null } = bound(given, "key", "default");
    const found = dict.get(keyOf(needed(key, "key")));
    return found === undefined ? otherwise : found;
  },
  items: (dict) =>
    new View(
      "dict_items",
      [...dict].map((pair) => new Tuple(pair)),
    ),
  keys: (dict) => new View("dict_keys", [...dict.keys()]),
  values: (dict) => new View("dict_values", [...dict.values()]),
};

type Sequence = Value[] | Tuple | Range;

/** Those of a list, a tuple and a range. */
export const listMethods: Readonly<Record<string, Method<Sequence>>> = {
  copy: (list) => (Array.isArray(list) ? [...list] : fail(`'${typeOf(list)}' object has no attribute 'copy'`)),
  count: (list, given) => BigInt(iterate(list).filter((i) => equal(i, needed(bound(given, "value").value, "value"))).length),
  index: (list, given) => {
    const at = iterate(list).findIndex((i) => equal(i, needed(bound(given, "value").value, "value")));
    return at < 0 ? fail("the value is not in the list") : BigInt(at);
  },
};
