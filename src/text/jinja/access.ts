import { dictMethods, listMethods, type Method, stringMethods, unsafe } from "./methods.ts";
import { Callable, fail, isInt, iterate, keyOf, Namespace, Range, Tuple, typeOf, Undefined, type Value } from "./values.ts";

const methodsOf = (value: Value): Readonly<Record<string, Method>> => {
  if (typeof value === "string") return stringMethods;
  if (value instanceof Map) return dictMethods;
  return Array.isArray(value) || value instanceof Tuple || value instanceof Range ? listMethods : {};
};

const missing = (value: Value, name: string): Undefined =>
  new Undefined(`'${value === null ? "None" : `${typeOf(value)} object`}' has no attribute '${name}'`);

function own(value: Value, name: string): Value | undefined {
  if (value instanceof Undefined) return fail(value.reason);
  if (value instanceof Namespace) return value.fields.get(name);
  if (value instanceof Callable) return value.fields.get(name)?.();
  if (value instanceof Tuple && value.names.includes(name)) return value.items[value.names.indexOf(name)];
  if ((Array.isArray(value) || value instanceof Map) && unsafe.has(name))
    return new Undefined(`access to attribute '${name}' of '${typeOf(value)}' object is unsafe.`);
  const methods = methodsOf(value);
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  return method && new Callable(name, (given) => method(value as never, given));
}

/** `value.name`: what Python calls an attribute, else an item. */
export function attribute(value: Value, name: string): Value {
  return (
    own(value, name) ??
    (value instanceof Map ? value.get(name) : undefined) ??
    (value instanceof Map && value.has(name) ? null : missing(value, name))
  );
}

/** `value[key]`: an item, else an attribute. */
export function item(value: Value, key: Value): Value {
  if (value instanceof Undefined) return fail(value.reason);
  if (value instanceof Map) {
    const found = value.get(keyOf(key));
    if (found !== undefined) return found;
  } else if (isInt(key) && (typeof value === "string" || Array.isArray(value) || value instanceof Tuple || value instanceof Range)) {
    const found = iterate(value).at(Number(key));
    if (found !== undefined) return found;
    return new Undefined(`${typeOf(value)} object has no element ${key}`);
  }
  return typeof key === "string" ? (own(value, key) ?? missing(value, key)) : new Undefined(`${typeOf(value)} object has no such element`);
}

/** `value[from:to:step]` */
export function slice(value: Value, [from, to, step]: readonly (Value | null)[]): Value {
  const items =
    typeof value === "string" || Array.isArray(value) || value instanceof Tuple || value instanceof Range ? iterate(value) : null;
  if (!items)
    return value instanceof Undefined
      ? fail(value.reason)
      : fail(value instanceof Map ? "unhashable type: 'slice'" : `'${typeOf(value)}' object is not subscriptable`);
  const whole = (bound: Value | null | undefined): number | null => {
    if (bound == null) return null;
    return isInt(bound) ? Number(bound) : fail("slice indices must be integers or None");
  };
  const by = whole(step) ?? 1;
  if (by === 0) return fail("slice step cannot be zero");
  const n = items.length;
  const within = (bound: number, least: number, most: number) => Math.min(most, Math.max(least, bound < 0 ? bound + n : bound));
  const [least, most] = by > 0 ? [0, n] : [-1, n - 1];
  const [first, last] = [whole(from), whole(to)];
  const begin = first === null ? (by > 0 ? 0 : n - 1) : within(first, least, most);
  const end = last === null ? (by > 0 ? n : -1) : within(last, least, most);
  const found: Value[] = [];
  for (let i = begin; by > 0 ? i < end : i > end; i += by) found.push(items[i] as Value);
  if (typeof value === "string") return found.join("");
  if (value instanceof Range) {
    const at = (i: number) => value.from + BigInt(i) * value.step;
    return new Range(at(begin), at(end), value.step * BigInt(by));
  }
  return value instanceof Tuple ? new Tuple(found) : found;
}
