import { codePointOf } from "../code-point.ts";
import { spend } from "./limits.ts";
import { TemplateError } from "./template-error.ts";

/**
 * A value of a template: None, a bool, an int (bigint), a float (number), a str, a list (array), a dict (Map), and what follows.
 * A dict's keys are told apart as JavaScript does: of 1, 1.0 and True Python makes one key.
 */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Value[]
  | Dict
  | Tuple
  | Range
  | View
  | Lazy
  | Undefined
  | Namespace
  | Callable;
export type Dict = Map<Value, Value>;

export class Tuple {
  /** @param names of its items, if they have any */
  constructor(
    readonly items: readonly Value[],
    readonly names: readonly string[] = [],
  ) {}
}

export class Range {
  constructor(
    readonly from: bigint,
    readonly to: bigint,
    readonly step: bigint,
  ) {}
  get length(): number {
    const [distance, step] = this.step > 0n ? [this.to - this.from, this.step] : [this.from - this.to, -this.step];
    return distance <= 0n ? 0 : Number((distance + step - 1n) / step);
  }
  get items(): Value[] {
    const items: Value[] = [];
    for (let i = this.from; this.step > 0n ? i < this.to : i > this.to; i += this.step) items.push(i);
    return items;
  }
}

/** The keys, values or items of a dict. */
export class View {
  constructor(
    readonly name: string,
    readonly items: readonly Value[],
  ) {}
}

/** What can be gone through once. */
export class Lazy {
  #items: readonly Value[];
  constructor(items: readonly Value[]) {
    this.#items = items;
  }
  take(): readonly Value[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }
  next(): Value | undefined {
    const [first, ...rest] = this.#items;
    this.#items = rest;
    return first;
  }
}

/** What is not there: it prints as nothing, and whatever else is done with it fails. */
export class Undefined {
  constructor(readonly reason: string) {}
}

/** The one thing that can be changed. */
export class Namespace {
  constructor(readonly fields: Map<string, Value>) {}
}

export interface Given {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

/** A function, a macro or an object with fields, e.g. `loop`. */
export class Callable {
  constructor(
    readonly name: string,
    readonly call: (given: Given) => Value,
    readonly fields: ReadonlyMap<string, () => Value> = new Map(),
  ) {}
}

export const fail = (reason: string): never => {
  throw new TemplateError(reason);
};

/** The name of a value's type in Python. */
export function typeOf(value: Value): string {
  if (value === null) return "NoneType";
  if (Array.isArray(value)) return "list";
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "bigint":
      return "int";
    case "number":
      return "float";
    case "string":
      return "str";
  }
  if (value instanceof Map) return "dict";
  if (value instanceof View) return value.name;
  const names = [
    [Tuple, "tuple"],
    [Range, "range"],
    [Lazy, "generator"],
    [Undefined, "Undefined"],
    [Namespace, "Namespace"],
  ] as const;
  return names.find(([type]) => value instanceof type)?.[1] ?? "function";
}

export const isNumber = (value: Value): value is boolean | bigint | number => ["boolean", "bigint", "number"].includes(typeof value);
/** An int, or a bool, which is one. */
export const isInt = (value: Value): value is boolean | bigint => typeof value === "bigint" || typeof value === "boolean";

/** Fails on what is not there. */
export const present = (value: Value): Value => (value instanceof Undefined ? fail(value.reason) : value);

export function truth(value: Value): boolean {
  if (value instanceof Undefined) return false;
  if (value instanceof Map) return value.size > 0;
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Tuple || value instanceof View) return value.items.length > 0;
  if (value instanceof Range) return value.length > 0;
  return typeof value === "object" && value !== null ? true : Boolean(value);
}

/** What a loop goes through, or null if a value cannot be gone through. */
export function itemsOf(value: Value): readonly Value[] | null {
  if (typeof value === "string") return [...value];
  if (Array.isArray(value)) return value;
  if (value instanceof Map) return [...value.keys()];
  if (value instanceof Tuple || value instanceof View || value instanceof Range) return value.items;
  if (value instanceof Lazy) return value.take();
  return value instanceof Undefined ? [] : null;
}

export const iterate = (value: Value): readonly Value[] => itemsOf(value) ?? fail(`'${typeOf(value)}' object is not iterable`);

export function lengthOf(value: Value): number {
  if (typeof value === "string") return [...value].length;
  if (value instanceof Map) return value.size;
  if (value instanceof Undefined) return 0;
  if (value instanceof Range) return value.length;
  if (value instanceof Lazy || itemsOf(value) === null) return fail(`object of type '${typeOf(value)}' has no len()`);
  return iterate(value).length;
}

/** Python's `repr` of a float: the shortest digits that give it back. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [digits = "", exponent = ""] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power < -4 || power >= 16) return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  const plain = power < 0 ? value.toFixed(digits.replace(/[-.]/gu, "").length - 1 - power) : String(value);
  return plain.includes(".") ? plain : `${plain}.0`;
}

const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = text.replace(/[\\'\p{C}\p{Z}]/gu, (c) => {
    if (c === " ") return c;
    if (c === "'") return quote === "'" ? "\\'" : c;
    const code = codePointOf(c);
    if (named[c]) return named[c];
    return code < 0x100 ? `\\x${hex(code, 2)}` : code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
  });
  return quote + body + quote;
}
const hex = (code: number, digits: number): string => code.toString(16).padStart(digits, "0");

/** Python's `repr`. */
export function repr(value: Value, depth = 0): string {
  spend();
  if (depth > 100) return fail("a value that is nested more than 100 times cannot be written");
  const all = (items: readonly Value[]): string => items.map((item) => repr(item, depth + 1)).join(", ");
  if (value === null) return "None";
  if (Array.isArray(value)) return `[${all(value)}]`;
  if (typeof value === "string") return quoted(value);
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return floatText(value);
  if (value instanceof Map) return `{${[...value].map(([k, v]) => `${repr(k, depth + 1)}: ${repr(v, depth + 1)}`).join(", ")}}`;
  if (value instanceof Tuple) return `(${all(value.items)}${value.items.length === 1 ? "," : ""})`;
  if (value instanceof Range) return `range(${value.from}, ${value.to}${value.step === 1n ? "" : `, ${value.step}`})`;
  if (value instanceof View) return `${value.name}([${all(value.items)}])`;
  if (value instanceof Undefined) return "Undefined";
  // Python would write where in memory it is.
  return fail(`a ${typeOf(value)} cannot be written`);
}

/** What a value prints as. */
export const text = (value: Value): string => (typeof value === "string" ? value : value instanceof Undefined ? "" : repr(value));

export function equal(a: Value, b: Value): boolean {
  spend();
  // biome-ignore lint/suspicious/noDoubleEquals: of a whole number and another it is what Python means.
  if (isNumber(a) && isNumber(b)) return Number(a) === Number(b) && (typeof a === typeof b ? a === b : Number(a) == Number(b));
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => equal(item, b[i] as Value));
  if (a instanceof Tuple && b instanceof Tuple) return equal([...a.items], [...b.items]);
  if (a instanceof Range && b instanceof Range) return equal(a.items, b.items);
  if (a instanceof Map && b instanceof Map)
    return a.size === b.size && [...a].every(([key, value]) => b.has(key) && equal(value, b.get(key) as Value));
  return a === b || (a instanceof Undefined && b instanceof Undefined);
}

/** Below 0 if `a` comes first; by code points, item by item. Fails where Python has no order. */
export function order(a: Value, b: Value, operator = "<"): number {
  if (isNumber(a) && isNumber(b)) {
    const [x, y] = typeof a === "bigint" && typeof b === "bigint" ? [a, b] : [Number(a), Number(b)];
    return x < y ? -1 : x > y ? 1 : x === y ? 0 : Number.NaN;
  }
  if (typeof a === "string" && typeof b === "string") return Buffer.compare(Buffer.from(a), Buffer.from(b));
  const [left, right] = a instanceof Tuple && b instanceof Tuple ? [a.items, b.items] : [a, b];
  if (Array.isArray(left) && Array.isArray(right)) {
    for (const [i, item] of left.entries()) {
      const other = right[i];
      if (other === undefined) return 1;
      if (!equal(item, other)) return order(item, other, operator);
    }
    return left.length - right.length;
  }
  present(a);
  present(b);
  return fail(`'${operator}' not supported between instances of '${typeOf(a)}' and '${typeOf(b)}'`);
}

/** A key as a dict has it: of numbers that are equal there is one. */
export const keyOf = (value: Value): Value => {
  if (typeof value === "boolean") return BigInt(value);
  if (typeof value === "number" && Number.isInteger(value)) return BigInt(value);
  if (Array.isArray(value) || value instanceof Map) return fail(`unhashable type: '${typeOf(value)}'`);
  return value;
};

export function contains(container: Value, item: Value): boolean {
  if (typeof container === "string")
    return typeof item === "string" ? container.includes(item) : fail(`'in <string>' requires string as left operand, not ${typeOf(item)}`);
  if (container instanceof Map) return container.has(keyOf(item)) || container.has(item);
  return (itemsOf(container) ?? fail(`argument of type '${typeOf(container)}' is not iterable`)).some((own) => equal(own, item));
}

/** Plain data as a template sees it: whole numbers are ints. */
export function fromData(data: unknown): Value {
  if (data === null || data === undefined) return null;
  if (typeof data === "number") return Number.isSafeInteger(data) ? BigInt(data) : data;
  if (Array.isArray(data)) return data.map(fromData);
  if (typeof data === "object") return new Map(Object.entries(data).map(([key, value]) => [key, fromData(value)]));
  return data as Value;
}
