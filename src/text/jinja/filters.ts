import { append } from "../../large-lists.ts";
import { attribute, item } from "./access.ts";
import { calculate } from "./arithmetic.ts";
import { fixed, percentFormat } from "./formatting.ts";
import { bound, needed } from "./given.ts";
import { toJson } from "./json.ts";
import { largest } from "./limits.ts";
import { capitalized, linesOf, stringMethods, stripped } from "./methods.ts";
import { tests } from "./tests.ts";
import {
  equal,
  fail,
  type Given,
  isInt,
  isNumber,
  itemsOf,
  iterate,
  keyOf,
  Lazy,
  lengthOf,
  order,
  present,
  Tuple,
  text,
  truth,
  typeOf,
  Undefined,
  type Value,
} from "./values.ts";

/** The value that is filtered is given first. */
export type Filter = (given: Given) => Value;

const none: Given = { positional: [], named: new Map() };
const number = (value: Value | undefined, otherwise: number): number =>
  value == null ? otherwise : isNumber(value) ? Number(value) : fail(`a number is expected, not ${typeOf(value)}`);

/** What an attribute's name leads to: parts between dots, of which numbers are places. */
function getter(path: Value | undefined, otherwise?: Value): (value: Value) => Value {
  if (path == null) return (value) => value;
  const parts = typeof path === "string" ? path.split(".").map((p) => (/^\d+$/u.test(p) ? BigInt(p) : p)) : [path];
  return (value) =>
    parts.reduce<Value>((found, part) => {
      const next = item(found, part);
      return next instanceof Undefined && otherwise !== undefined && truth(otherwise) ? otherwise : next;
    }, value);
}

/** As values are ordered and told apart: without regard to case, unless that is asked for. */
const caseless = (sensitive: Value | undefined) => (value: Value) =>
  typeof value === "string" && !truth(sensitive ?? false) ? value.toLowerCase() : value;

function sorted(values: readonly Value[], keys: (value: Value) => Value, reverse: Value | undefined): Value[] {
  const all = values.map((value) => ({ value, key: keys(value) }));
  const sign = truth(reverse ?? false) ? -1 : 1;
  return all.sort((a, b) => sign * order(a.key, b.key)).map(({ value }) => value);
}

function extreme(given: Given, better: (sign: number) => boolean): Value {
  const { value, case_sensitive, attribute: path } = bound(given, "value", "case_sensitive", "attribute");
  const [get, fold] = [getter(path), caseless(case_sensitive)];
  const key = (v: Value) => fold(get(v));
  const items = iterate(needed(value, "value"));
  if (items.length === 0) return new Undefined("No aggregated item, sequence was empty.");
  return items.reduce((best, other) => (better(order(key(other), key(best))) ? other : best));
}

/** The value first, then what the filter itself was given. */
const split = ({ positional: [value, ...positional], named }: Given): [value: Value, rest: Given] => [
  needed(value, "value"),
  { positional, named },
];

/** What is false is gone through as if it were empty, whatever it is. */
const truly = (value: Value): readonly Value[] => (truth(value) ? iterate(value) : []);

function mapped(given: Given): Value {
  const [value, { positional, named }] = split(given);
  if (positional.length === 0 && named.has("attribute")) {
    const { attribute: path, default: otherwise } = bound({ positional, named }, "attribute", "default");
    return new Lazy(truly(value).map(getter(path, otherwise)));
  }
  const [name, ...args] = positional;
  const filter = typeof name === "string" ? filterNamed(name) : fail("map requires a filter argument");
  return new Lazy(truly(value).map((v) => filter({ positional: [v, ...args], named })));
}

/** `select` and its kin: by a test, or by whether a value is true. */
const chosen =
  (wanted: boolean, byAttribute: boolean): Filter =>
  (given) => {
    const [value, { positional, named }] = split(given);
    const [path, rest] = byAttribute ? [needed(positional[0], "attribute"), positional.slice(1)] : [undefined, positional];
    const [get, [name, ...args]] = [getter(path), rest];
    const test = name === undefined ? truth : testNamed(name, args, named);
    return new Lazy(truly(value).filter((v) => test(get(v)) === wanted));
  };

function testNamed(name: Value, args: readonly Value[], named: Given["named"]): (value: Value) => boolean {
  const test = typeof name === "string" && Object.hasOwn(tests, name) ? tests[name] : undefined;
  if (!test) return fail(`there is no test named ${text(name)}`);
  return (value) => test({ positional: [value, ...args], named });
}

function filterNamed(name: string): Filter {
  if (!Object.hasOwn(filters, name)) return fail(`there is no filter named "${name}", or it is not supported`);
  return filters[name] as Filter;
}

function rounded(given: Given): Value {
  const { value, precision, method = "common" } = bound(given, "value", "precision", "method");
  const places = number(precision, 0);
  if (!isNumber(needed(value, "value"))) return fail(`type ${typeOf(value as Value)} cannot be rounded`);
  if (method === "common" && isInt(value as Value) && places >= 0) return BigInt(value as bigint);
  const [real, scale] = [Number(value), 10 ** places];
  if (method === "ceil") return Math.ceil(real * scale) / scale;
  if (method === "floor") return Math.floor(real * scale) / scale;
  if (method !== "common") return fail("method must be common, ceil or floor");
  if (places < 0 || places > 100) return Math.round(real * scale) / scale;
  return Number(fixed(real, places));
}

function integer(given: Given): Value {
  const { value, default: otherwise = 0n, base = 10n } = bound(given, "value", "default", "base");
  present(needed(value, "value"));
  if (isInt(value as Value)) return BigInt(value as bigint);
  if (typeof value === "number") return Number.isFinite(value) ? BigInt(Math.trunc(value)) : otherwise;
  if (typeof value !== "string") return otherwise;
  const digits = stripped(value, undefined, true, true);
  if (Number(base) === 10 && /^[-+]?\d+(?:_\d+)*$/u.test(digits)) return BigInt(digits.replace(/[+_]/gu, ""));
  if (Number(base) === 16 && /^(?:0x)?[\da-f]+$/iu.test(digits)) return BigInt(`0x${digits.replace(/^0x/iu, "")}`);
  const real = floatOf(digits);
  return real === null || !Number.isFinite(real) ? otherwise : BigInt(Math.trunc(real));
}

const floatOf = (digits: string): number | null =>
  /^[-+]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:e[-+]?\d+)?$/iu.test(digits) ? Number(digits.replaceAll("_", "")) : null;

const onlyText = (value: Value | undefined): string => {
  const found = present(needed(value, "value"));
  return typeof found === "string" ? found : fail(`a text is expected, not '${typeOf(found)}'`);
};

function indented(given: Given): string {
  const { value, width = 4n, first = false, blank = false } = bound(given, "value", "width", "first", "blank");
  const by = typeof width === "string" ? width : " ".repeat(Math.min(1000, number(width, 4)));
  const [head = "", ...lines] = linesOf(`${onlyText(value)}\n`);
  const rest = lines.map((line) => `\n${line !== "" || truth(blank) ? by : ""}${line}`).join("");
  return (truth(first) ? by : "") + head + rest;
}

function truncated(given: Given): Value {
  const { value, length, killwords = false, end = "...", leeway } = bound(given, "value", "length", "killwords", "end", "leeway");
  const [most, mark] = [number(length, 255), text(end)];
  if (lengthOf(needed(value, "value")) <= most + number(leeway, 5)) return value as Value;
  const cut = [...onlyText(value)].slice(0, Math.max(0, most - [...mark].length)).join("");
  const at = truth(killwords) ? -1 : cut.lastIndexOf(" ");
  return (at < 0 ? cut : cut.slice(0, at)) + mark;
}

function batches(given: Given): Value {
  const { value, linecount, fill_with = null } = bound(given, "value", "linecount", "fill_with");
  const [items, size] = [iterate(needed(value, "value")), number(needed(linecount, "linecount"), 1)];
  if (size < 1) return fail("linecount must be at least 1");
  const rows: Value[][] = [];
  for (let i = 0; i < items.length; i += size) rows.push(items.slice(i, i + size));
  const last = rows.at(-1);
  if (last && fill_with !== null && last.length < size)
    append(last, Array<Value>(Math.min(largest.items, size) - last.length).fill(fill_with));
  return new Lazy(rows);
}

function slices(given: Given): Value {
  const { value, slices: count, fill_with = null } = bound(given, "value", "slices", "fill_with");
  const [items, n] = [iterate(needed(value, "value")), number(needed(count, "slices"), 1)];
  if (n < 1 || n > largest.items) return fail("slices must be at least 1");
  const [each, over] = [Math.floor(items.length / n), items.length % n];
  return new Lazy(
    Array.from({ length: n }, (_, i) => {
      const from = i * each + Math.min(i, over);
      const row = items.slice(from, from + each + (i < over ? 1 : 0));
      return fill_with !== null && i >= over && over > 0 ? [...row, fill_with] : row;
    }),
  );
}

function groups(given: Given): Value {
  const { value, attribute: path, default: otherwise, case_sensitive } = bound(given, "value", "attribute", "default", "case_sensitive");
  const [get, fold] = [getter(needed(path, "attribute"), otherwise), caseless(case_sensitive)];
  const found: { key: Value; name: Value; items: Value[] }[] = [];
  for (const v of sorted(iterate(needed(value, "value")), (x) => fold(get(x)), false)) {
    const last = found.at(-1);
    if (last && equal(last.key, fold(get(v)))) last.items.push(v);
    else found.push({ key: fold(get(v)), name: get(v), items: [v] });
  }
  return found.map(({ name, items }) => new Tuple([name, items], ["grouper", "list"]));
}

function dictSorted(given: Given): Value {
  const { value, case_sensitive, by = "key", reverse } = bound(given, "value", "case_sensitive", "by", "reverse");
  if (!(value instanceof Map)) return fail(`'${typeOf(value as Value)}' object has no items`);
  if (by !== "key" && by !== "value") return fail('You can only sort by either "key" or "value"');
  const fold = caseless(case_sensitive);
  const pairs = [...value].map((pair): Value => new Tuple(pair));
  return sorted(pairs, (pair) => fold((pair as Tuple).items[by === "key" ? 0 : 1] as Value), reverse);
}

const method =
  (name: string): Filter =>
  (given) => {
    const [value, rest] = split(given);
    return (stringMethods[name] as (self: string, given: Given) => Value)(text(value), rest);
  };

const escaped: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;" };
const toHtml: Filter = (given) => text(needed(bound(given, "value").value, "value")).replace(/[&<>'"]/gu, (c) => escaped[c] as string);
const count: Filter = (given) => BigInt(lengthOf(needed(bound(given, "value").value, "value")));
const orDefault: Filter = (given) => {
  const { value, default_value = "", boolean = false } = bound(given, "value", "default_value", "boolean");
  const found = needed(value, "value");
  return found instanceof Undefined || (truth(boolean) && !truth(found)) ? default_value : found;
};

/** Jinja's filters. Those for pages of HTML and for chance are left out: a template that uses them is refused when it is parsed. */
export const filters: Readonly<Record<string, Filter>> = {
  abs: (given) => {
    const value = present(needed(bound(given, "value").value, "value"));
    if (isInt(value)) return BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
    return typeof value === "number" ? Math.abs(value) : fail(`bad operand type for abs(): '${typeOf(value)}'`);
  },
  attr: (given) => {
    const { value, name } = bound(given, "value", "name");
    const found = attribute(needed(value, "value"), text(needed(name, "name")));
    return value instanceof Map && !(found instanceof Undefined) && value.has(text(name as Value))
      ? new Undefined("a dict has no such attribute")
      : found;
  },
  batch: batches,
  capitalize: (given) => capitalized(text(needed(bound(given, "value").value, "value"))),
  center: (given) =>
    method("center")(given.positional.length + given.named.size > 1 ? given : { ...given, positional: [...given.positional, 80n] }),
  count,
  d: orDefault,
  default: orDefault,
  dictsort: dictSorted,
  e: toHtml,
  escape: toHtml,
  first: (given) => iterate(needed(bound(given, "value").value, "value"))[0] ?? new Undefined("No first item, sequence was empty."),
  float: (given) => {
    const { value, default: otherwise = 0 } = bound(given, "value", "default");
    present(needed(value, "value"));
    const real =
      typeof value === "string" ? floatOf(stripped(value, undefined, true, true)) : isNumber(value as Value) ? Number(value) : null;
    return real ?? otherwise;
  },
  format: (given) => {
    const [value, { positional, named }] = split(given);
    if (named.size > 0 && positional.length > 0) return fail("can't handle positional and keyword arguments at the same time");
    return percentFormat(text(value), named.size > 0 ? new Map(named) : new Tuple(positional));
  },
  groupby: groups,
  indent: indented,
  int: integer,
  items: (given) => {
    const value = needed(bound(given, "value").value, "value");
    if (value instanceof Undefined) return new Lazy([]);
    return value instanceof Map ? new Lazy([...value].map((pair) => new Tuple(pair))) : fail("Can only get item pairs from a mapping.");
  },
  join: (given) => {
    const { value, d = "", attribute: path } = bound(given, "value", "d", "attribute");
    return iterate(needed(value, "value"))
      .map((v) => text(getter(path)(v)))
      .join(text(d));
  },
  last: (given) => {
    const value = needed(bound(given, "value").value, "value");
    if (value instanceof Lazy) return fail("'generator' object is not reversible");
    return iterate(value).at(-1) ?? new Undefined("No last item, sequence was empty.");
  },
  length: count,
  list: (given) => [...iterate(needed(bound(given, "value").value, "value"))],
  lower: method("lower"),
  map: mapped,
  max: (given) => extreme(given, (sign) => sign > 0),
  min: (given) => extreme(given, (sign) => sign < 0),
  reject: chosen(false, false),
  rejectattr: chosen(false, true),
  replace: (given) => {
    const { s, old, new: to, count: most = null } = bound(given, "s", "old", "new", "count");
    const positional = [text(needed(old, "old")), text(needed(to, "new")), most];
    return (stringMethods["replace"] as (self: string, given: Given) => Value)(text(needed(s, "s")), { positional, named: none.named });
  },
  reverse: (given) => {
    const value = needed(bound(given, "value").value, "value");
    const items = [...(itemsOf(value) ?? fail("argument must be iterable"))].reverse();
    return typeof value === "string" ? items.join("") : new Lazy(items);
  },
  round: rounded,
  safe: (given) => text(needed(bound(given, "value").value, "value")),
  select: chosen(true, false),
  selectattr: chosen(true, true),
  slice: slices,
  sort: (given) => {
    const { value, reverse, case_sensitive, attribute: path } = bound(given, "value", "reverse", "case_sensitive", "attribute");
    const fold = caseless(case_sensitive);
    const paths = typeof path === "string" ? path.split(",") : [path];
    const keys = (v: Value): Value => (paths.length === 1 ? fold(getter(paths[0])(v)) : paths.map((p) => fold(getter(p)(v))));
    return sorted(iterate(needed(value, "value")), keys, reverse);
  },
  string: (given) => text(needed(bound(given, "value").value, "value")),
  sum: (given) => {
    const { iterable, attribute: path, start = 0n } = bound(given, "iterable", "attribute", "start");
    return iterate(needed(iterable, "iterable"))
      .map(getter(path))
      .reduce((a, b) => calculate("+", a, b), start);
  },
  title: (given) =>
    text(needed(bound(given, "value").value, "value"))
      .split(/([-\s({[<]+)/u)
      .map(capitalized)
      .join(""),
  tojson: toJson,
  trim: (given) => {
    const { value, chars } = bound(given, "value", "chars");
    return stripped(text(needed(value, "value")), chars, true, true);
  },
  truncate: truncated,
  unique: (given) => {
    const { value, case_sensitive, attribute: path } = bound(given, "value", "case_sensitive", "attribute");
    const [get, fold] = [getter(path), caseless(case_sensitive)];
    const seen = new Set<Value>();
    return new Lazy(iterate(needed(value, "value")).filter((v) => seen.size < seen.add(keyOf(fold(get(v)))).size));
  },
  upper: method("upper"),
  wordcount: (given) => BigInt(text(needed(bound(given, "value").value, "value")).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0),
};
