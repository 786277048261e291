import { largest } from "./limits.ts";
import { Callable, fail, type Given, isInt, isNumber, present, repr, Tuple, text, typeOf, type Value } from "./values.ts";

interface Spec {
  readonly fill: string;
  readonly align: string;
  readonly sign: string;
  readonly alternate: boolean;
  readonly width: number;
  readonly comma: boolean;
  readonly precision: number | null;
  readonly type: string;
}

const bounded = (digits: string | undefined): number => {
  const n = Number(digits ?? 0);
  return n > largest.text ? fail("a width is too large") : n;
};

const bases: Readonly<Record<string, readonly [base: number, prefix: string]>> = {
  b: [2, "0b"],
  o: [8, "0o"],
  x: [16, "0x"],
  X: [16, "0X"],
};

/** As many decimals as JavaScript writes, and exactly. */
const exact = 100;

/** What `write` gives, with ties to the even digit: JavaScript rounds them up. */
function toEven(write: (decimals: number) => string, decimals: number): string {
  const more = Math.min(exact, decimals + 50);
  const [digits = "", exponent] = write(more).split("e");
  const kept = digits.slice(0, digits.length - (more - decimals));
  const isTie = /^50*$/u.test(digits.slice(kept.length));
  if (!isTie || !/[02468]\.?$/u.test(kept)) return write(decimals);
  return kept.replace(/\.$/u, "") + (exponent === undefined ? "" : `e${exponent}`);
}

/** A number with so many decimals. */
export const fixed = (value: number, decimals: number): string => toEven((d) => value.toFixed(d), decimals);

/** Digits by C's `%e`, whose exponent has two of them at least. */
const exponential = (value: number, decimals: number): string =>
  toEven((d) => value.toExponential(d), decimals).replace(/e([+-])(\d)$/u, "e$10$2");

function general(value: number, precision: number, alternate: boolean): string {
  const digits = precision === 0 ? 1 : precision;
  const power = Number(value.toExponential(digits - 1).split("e")[1]);
  const found = power < -4 || power >= digits ? exponential(value, digits - 1) : fixed(value, digits - 1 - power);
  return alternate || !found.includes(".") ? found : found.replace(/\.?0+(?=$|e)/u, "");
}

/** A number's digits without its sign. */
function digitsOf(value: boolean | bigint | number, { type, precision, alternate, comma }: Spec): string {
  const size = typeof value === "number" ? Math.abs(value) : BigInt(value) < 0n ? -BigInt(value) : BigInt(value);
  const base = bases[type];
  let digits: string;
  if (base) {
    digits = (alternate ? base[1] : "") + (type === "X" ? (size as bigint).toString(16).toUpperCase() : (size as bigint).toString(base[0]));
  } else if (type === "d") digits = String(size);
  else if ((precision ?? 0) > exact) return fail(`more than ${exact} decimals`);
  else if (type === "e" || type === "E") digits = exponential(Number(size), precision ?? 6);
  else if (type === "f" || type === "F") digits = fixed(Number(size), precision ?? 6);
  else if (type === "%") digits = `${fixed(Number(size) * 100, precision ?? 6)}%`;
  else digits = general(Number(size), precision ?? 6, alternate);
  if ("EFG".includes(type)) digits = digits.toUpperCase();
  return comma ? digits.replace(/\d(?=(?:\d{3})+(?!\d))(?<!\.\d*)/gu, "$&,") : digits;
}

function padded(body: string, sign: string, { fill, align, width }: Spec): string {
  const missing = Math.max(0, width - [...(sign + body)].length);
  const fills = (n: number) => fill.repeat(n);
  if (align === "=") return sign + fills(missing) + body;
  if (align === "<") return sign + body + fills(missing);
  if (align === "^") return fills(Math.floor(missing / 2)) + sign + body + fills(Math.ceil(missing / 2));
  return fills(missing) + sign + body;
}

function number(value: boolean | bigint | number, spec: Spec): string {
  const negative = typeof value === "number" ? value < 0 || Object.is(value, -0) : BigInt(value) < 0n;
  return padded(digitsOf(value, spec), negative ? "-" : spec.sign === "-" ? "" : spec.sign, spec);
}

/** `'%s and %d' % (a, b)`: printf, as Python has it. */
export function percentFormat(format: string, given: Value): string {
  const values = given instanceof Tuple ? [...given.items] : [given];
  let used = 0;
  const out = format.replace(
    /%(?:\((\w+)\))?([-+ 0#]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])|%/gu,
    (whole, key, flags = "", width, precision, type) => {
      if (type === "%") return "%";
      if (type === undefined) return fail("a format ends too early");
      const value = key === undefined ? values[used++] : given instanceof Map ? given.get(key) : fail("a format requires a mapping");
      if (value === undefined) return fail("not enough arguments for a format");
      const isText = "srac".includes(type);
      const left = flags.includes("-");
      const zero = flags.includes("0") && !left;
      const spec: Spec = {
        fill: zero && !isText ? "0" : " ",
        align: left ? "<" : zero && !isText ? "=" : ">",
        sign: flags.includes("+") ? "+" : flags.includes(" ") ? " " : "-",
        alternate: flags.includes("#"),
        width: bounded(width),
        comma: false,
        precision: precision === undefined ? null : Number(precision),
        type: type === "i" || type === "u" ? "d" : type,
      };
      if (type === "s" || type === "r") {
        const all = type === "s" ? text(value) : repr(value);
        return padded(spec.precision === null ? all : [...all].slice(0, spec.precision).join(""), "", spec);
      }
      if (!"diuoxXeEfFgG".includes(type)) return fail(`the format ${whole} is not supported`);
      if (!isNumber(present(value))) return fail(`%${type} format: a real number is required, not ${typeOf(value)}`);
      const real = value as boolean | bigint | number;
      if (!"diuoxX".includes(type)) return number(real, spec);
      if (!isInt(real) && "oxX".includes(type)) return fail(`%${type} format: an integer is required, not float`);
      return number(typeof real === "number" ? BigInt(Math.trunc(real)) : real, spec);
    },
  );
  if (given instanceof Tuple && used < values.length) return fail("not all arguments converted during string formatting");
  if (!(given instanceof Tuple) && used === 0 && !(given instanceof Map) && !Array.isArray(given))
    return fail("not all arguments converted during string formatting");
  return out;
}

const specPattern = /^(?:(.)?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?(,)?(?:\.(\d+))?([bdeEfFgGosxX%])?$/u;

/** A value by a format specification, e.g. `>10.2f`. */
function specified(value: Value, source: string): string {
  const found = specPattern.exec(source);
  if (!found) return fail(`the format "${source}" is not supported`);
  const [, fill, align, sign = "-", alternate, zero, width, comma, precision, type] = found;
  const spec: Spec = {
    fill: fill ?? (zero ? "0" : " "),
    align: align ?? (isNumber(value) ? (zero ? "=" : ">") : "<"),
    sign,
    alternate: alternate !== undefined,
    width: bounded(width),
    comma: comma !== undefined,
    precision: precision === undefined ? null : Number(precision),
    type: type ?? "",
  };
  if (isNumber(value) && typeof value !== "boolean" && type !== "s") {
    if (type === undefined && (typeof value === "bigint" || spec.precision === null))
      return typeof value === "bigint" ? number(value, { ...spec, type: "d" }) : padded(repr(Math.abs(value)), value < 0 ? "-" : "", spec);
    if (typeof value === "number" && "bdoxX".includes(type ?? "g")) return fail(`Unknown format code '${type}' for object of type 'float'`);
    return number(value, { ...spec, type: type ?? "g" });
  }
  if (typeof value !== "string" && source !== "") return fail(`the format "${source}" of a ${typeOf(value)} is not supported`);
  if (type !== undefined && type !== "s") return fail(`Unknown format code '${type}' for object of type 'str'`);
  const all = text(value);
  return padded(spec.precision === null ? all : [...all].slice(0, spec.precision).join(""), "", spec);
}

/** `'{} of {name:>5}'.format(a, name=b)` */
export function braceFormat(format: string, { positional, named }: Given): string {
  let next = 0;
  return format.replace(/\{\{|\}\}|\{([^{}]*)\}|[{}]/gu, (whole, field?: string) => {
    if (whole === "{{" || whole === "}}") return whole.charAt(0);
    const [, name = "", conversion, spec = ""] =
      /^(\w*)(?:!([rs]))?(?::(.*))?$/u.exec(field ?? "!") ?? fail(`the field ${whole} is not supported`);
    const value = /^\d*$/u.test(name) ? positional[name === "" ? next++ : Number(name)] : named.get(name);
    if (value === undefined) return fail(`the format has no argument for ${whole}`);
    if (value instanceof Callable) return fail("a function cannot be written");
    return specified(conversion === "r" ? repr(value) : conversion === "s" ? text(value) : value, spec);
  });
}
