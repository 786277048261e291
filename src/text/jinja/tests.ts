import { calculate } from "./arithmetic.ts";
import { bound, needed } from "./given.ts";
import {
  Callable,
  contains,
  equal,
  type Given,
  isInt,
  isNumber,
  itemsOf,
  Lazy,
  order,
  Range,
  Tuple,
  text,
  Undefined,
  type Value,
} from "./values.ts";

/** The value that is tested is given first. */
export type Test = (given: Given) => boolean;

const one =
  (test: (value: Value) => boolean): Test =>
  (given) =>
    test(needed(bound(given, "value").value, "value"));

const two =
  (test: (value: Value, other: Value) => boolean): Test =>
  (given) => {
    const { value, other } = bound(given, "value", "other");
    return test(needed(value, "value"), needed(other, "other"));
  };

const rest = (value: Value, by: bigint): Value => calculate("%", value, by);
const [eq, ne] = [two(equal), two((a, b) => !equal(a, b))];
const [lt, le] = [two((a, b) => order(a, b, "<") < 0), two((a, b) => order(a, b, "<=") <= 0)];
const [gt, ge] = [two((a, b) => order(a, b, ">") > 0), two((a, b) => order(a, b, ">=") >= 0)];
const isContainer = (value: Value): boolean =>
  typeof value === "string" || Array.isArray(value) || value instanceof Map || value instanceof Tuple || value instanceof Range;
const same = (a: Value, b: Value): boolean => a === b || (typeof a === "number" && typeof b === "number" && Object.is(a, b));

/** Jinja's tests, by all their names. */
export const tests: Readonly<Record<string, Test>> = {
  "!=": ne,
  "<": lt,
  "<=": le,
  "==": eq,
  ">": gt,
  ">=": ge,
  boolean: one((v) => typeof v === "boolean"),
  callable: one((v) => v instanceof Callable || v instanceof Undefined),
  defined: one((v) => !(v instanceof Undefined)),
  divisibleby: two((v, by) => equal(calculate("%", v, by), 0n)),
  eq,
  equalto: eq,
  even: one((v) => equal(rest(v, 2n), 0n)),
  false: one((v) => v === false),
  float: one((v) => typeof v === "number"),
  ge,
  greaterthan: gt,
  gt,
  in: two((v, container) => contains(container, v)),
  integer: one((v) => isInt(v) && typeof v !== "boolean"),
  iterable: one((v) => v instanceof Lazy || itemsOf(v) !== null),
  le,
  lessthan: lt,
  lower: one((v) => text(v) === text(v).toLowerCase() && text(v) !== text(v).toUpperCase()),
  lt,
  mapping: one((v) => v instanceof Map),
  ne,
  none: one((v) => v === null),
  number: one(isNumber),
  odd: one((v) => equal(rest(v, 2n), 1n)),
  sameas: two(same),
  sequence: one((v) => isContainer(v) || v instanceof Undefined),
  string: one((v) => typeof v === "string"),
  true: one((v) => v === true),
  undefined: one((v) => v instanceof Undefined),
  upper: one((v) => text(v) === text(v).toUpperCase() && text(v) !== text(v).toLowerCase()),
};
