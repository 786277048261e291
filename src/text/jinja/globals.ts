import { bound, needed } from "./given.ts";
import { largest } from "./limits.ts";
import { strftime } from "./strftime.ts";
import { Callable, fail, type Given, isInt, iterate, Namespace, Range, text, typeOf, Undefined, type Value } from "./values.ts";

const whole = (value: Value): bigint =>
  isInt(value) ? BigInt(value) : fail(`'${typeOf(value)}' object cannot be interpreted as an integer`);

function range({ positional }: Given): Value {
  if (positional.length === 0 || positional.length > 3) return fail("range takes 1 to 3 arguments");
  const [first, second, step = 1n] = positional.map(whole);
  const [from, to] = second === undefined ? [0n, first as bigint] : [first as bigint, second];
  if (step === 0n) return fail("range() arg 3 must not be zero");
  const found = new Range(from, to, step);
  if (found.length > largest.range) return fail(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${largest.range}).`);
  return found;
}

/** A dict of what it is given by name, after that of a dict or of pairs. */
function pairs({ positional: [first], named }: Given): Map<Value, Value> {
  const found = new Map<Value, Value>();
  if (first instanceof Map) for (const [key, value] of first) found.set(key, value);
  else if (first !== undefined)
    for (const pair of iterate(first)) {
      const [key, value] = iterate(pair);
      found.set(needed(key, "key"), needed(value, "value"));
    }
  for (const [key, value] of named) found.set(key, value);
  return found;
}

function cycler({ positional: items }: Given): Value {
  if (items.length === 0) return fail("at least one item has to be provided");
  let at = 0;
  const next = new Callable("next", () => items[at++ % items.length] as Value);
  const reset = new Callable("reset", () => {
    at = 0;
    return null;
  });
  const fields = { next: () => next, reset: () => reset, current: () => items[at % items.length] as Value };
  return new Callable("cycler", () => fail("'Cycler' object is not callable"), new Map(Object.entries(fields)));
}

function joiner(given: Given): Value {
  const { sep = ", " } = bound(given, "sep");
  let used = false;
  return new Callable("joiner", () => {
    const found = used ? sep : "";
    used = true;
    return found;
  });
}

const functions: Readonly<Record<string, (given: Given) => Value>> = {
  cycler,
  dict: pairs,
  joiner,
  namespace: (given) => new Namespace(new Map([...pairs(given)].map(([key, value]) => [text(key), value]))),
  raise_exception: (given) => fail(text(needed(bound(given, "message").message, "message"))),
  range,
  strftime_now: (given) => strftime(text(needed(bound(given, "format").format, "format")), new Date()),
};

/** What a template finds without being given it: Jinja's own functions, and those of Hugging Face's templates. */
export const globals: ReadonlyMap<string, Value> = new Map(
  Object.entries(functions).map(([name, call]) => [name, new Callable(name, call)]),
);

export const undefinedName = (name: string): Undefined => new Undefined(`'${name}' is undefined`);
