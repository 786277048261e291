import { bound, needed } from "./given.ts";
import { spend } from "./limits.ts";
import { fail, floatText, type Given, isInt, order, Tuple, text, truth, typeOf, type Value } from "./values.ts";

interface Style {
  readonly ascii: boolean;
  readonly indent: string | null;
  readonly comma: string;
  readonly colon: string;
  readonly sorted: boolean;
}

/** The filter `tojson` of Hugging Face's templates: Python's `json.dumps`, which leaves all characters as they are. */
export function toJson(given: Given): string {
  const {
    value,
    ensure_ascii = false,
    indent = null,
    separators = null,
    sort_keys = false,
  } = bound(given, "value", "ensure_ascii", "indent", "separators", "sort_keys");
  const own =
    separators instanceof Tuple || Array.isArray(separators) ? (separators instanceof Tuple ? separators.items : separators) : null;
  if (separators !== null && own?.length !== 2) fail("'separators' must be a pair");
  const [comma = indent === null ? ", " : ",", colon = ": "] = (own ?? []).map(text);
  const space = isInt(indent) ? " ".repeat(Math.min(100, Math.max(0, Number(indent)))) : indent;
  if (space !== null && typeof space !== "string") return fail("'indent' must be a number or a text");
  return write(needed(value, "value"), { ascii: truth(ensure_ascii), indent: space, comma, colon, sorted: truth(sort_keys) }, 1);
}

function write(value: Value, style: Style, depth: number): string {
  spend();
  if (depth > 100) return fail("a value that is nested more than 100 times cannot be written");
  const around = (open: string, items: readonly string[], close: string): string => {
    if (items.length === 0) return open + close;
    if (style.indent === null) return open + items.join(style.comma) + close;
    const line = `\n${style.indent.repeat(depth)}`;
    return `${open}${line}${items.join(style.comma + line)}\n${style.indent.repeat(depth - 1)}${close}`;
  };
  if (value === null || typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "number") return numberText(value);
  if (typeof value === "string") return quoted(value, style.ascii);
  if (Array.isArray(value) || value instanceof Tuple) {
    const items = Array.isArray(value) ? value : value.items;
    return around(
      "[",
      items.map((item) => write(item, style, depth + 1)),
      "]",
    );
  }
  if (value instanceof Map) {
    const entries = style.sorted ? [...value].sort(([a], [b]) => order(a, b)) : [...value];
    const written = entries.map(([key, item]) => quoted(keyText(key), style.ascii) + style.colon + write(item, style, depth + 1));
    return around("{", written, "}");
  }
  return fail(`Object of type ${typeOf(value)} is not JSON serializable`);
}

const numberText = (value: number): string =>
  Number.isNaN(value) ? "NaN" : Number.isFinite(value) ? floatText(value) : value > 0 ? "Infinity" : "-Infinity";

function keyText(key: Value): string {
  if (typeof key === "string") return key;
  if (key === null || typeof key === "boolean" || typeof key === "bigint") return String(key);
  return typeof key === "number" ? numberText(key) : fail(`keys must be str, int, float, bool or None, not ${typeOf(key)}`);
}

/** Python escapes what JSON asks for, and what JavaScript does beyond that (lone surrogates) cannot come. */
const quoted = (value: string, ascii: boolean): string => {
  const json = JSON.stringify(value).replaceAll("\x7f", ascii ? "\\u007f" : "\x7f");
  return ascii ? json.replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`) : json;
};
