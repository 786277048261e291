import { percentFormat } from "./formatting.ts";
import { largest } from "./limits.ts";
import { fail, isInt, isNumber, present, Tuple, typeOf, type Value } from "./values.ts";

type Operation = (a: Value, b: Value) => Value | undefined;

const divisor = (n: number): number => (n === 0 ? fail("division by zero") : n);

/** Rounded down, as Python divides. */
const floorDivide = (a: bigint, b: bigint): bigint => {
  const rounded = a / (b === 0n ? fail("division by zero") : b);
  return a % b !== 0n && a < 0n !== b < 0n ? rounded - 1n : rounded;
};

const numeric =
  (ints: (a: bigint, b: bigint) => Value, floats: (a: number, b: number) => Value): Operation =>
  (a, b) => {
    if (isInt(a) && isInt(b)) return ints(BigInt(a), BigInt(b));
    return isNumber(a) && isNumber(b) ? floats(Number(a), Number(b)) : undefined;
  };

function repeated(sequence: Value, count: Value): Value | undefined {
  if (!isInt(count)) return undefined;
  const times = Math.max(0, Number(count));
  const length =
    typeof sequence === "string"
      ? sequence.length
      : sequence instanceof Tuple
        ? sequence.items.length
        : Array.isArray(sequence)
          ? sequence.length
          : null;
  if (length === null) return undefined;
  if (length * times > (typeof sequence === "string" ? largest.text : largest.items))
    return fail(`a value of ${length * times} parts is too long`);
  if (typeof sequence === "string") return sequence.repeat(times);
  const items = sequence instanceof Tuple ? sequence.items : (sequence as Value[]);
  const all = Array.from({ length: times }, () => items).flat();
  return sequence instanceof Tuple ? new Tuple(all) : all;
}

function power(a: bigint, b: bigint): Value {
  if (b < 0n) return Number(a) ** Number(b);
  if (b * BigInt(a.toString(2).length) > largest.bits) return fail("a power is too large");
  return a ** b;
}

const joined: Operation = (a, b) => {
  if (typeof a === "string" && typeof b === "string") return a + b;
  if (Array.isArray(a) && Array.isArray(b)) return [...a, ...b];
  return a instanceof Tuple && b instanceof Tuple ? new Tuple([...a.items, ...b.items]) : undefined;
};

const operations: Readonly<Record<string, Operation>> = {
  "+": (a, b) =>
    numeric(
      (x, y) => x + y,
      (x, y) => x + y,
    )(a, b) ?? joined(a, b),
  "-": numeric(
    (x, y) => x - y,
    (x, y) => x - y,
  ),
  "*": (a, b) =>
    numeric(
      (x, y) => x * y,
      (x, y) => x * y,
    )(a, b) ??
    repeated(a, b) ??
    repeated(b, a),
  "/": numeric(
    (x, y) => Number(x) / divisor(Number(y)),
    (x, y) => x / divisor(y),
  ),
  "//": numeric(floorDivide, (x, y) => Math.floor(x / divisor(y))),
  "%": (a, b) =>
    typeof a === "string"
      ? percentFormat(a, b)
      : numeric(
          (x, y) => x - floorDivide(x, y) * y,
          (x, y) => x - Math.floor(x / divisor(y)) * y,
        )(a, b),
  "**": numeric(power, (x, y) => x ** y),
};

/** @throws TemplateError where Python has no such operation */
export function calculate(operator: string, a: Value, b: Value): Value {
  const found = operations[operator]?.(present(a), present(b));
  if (found !== undefined) {
    if (typeof found === "bigint" && found.toString(2).length > largest.bits) fail("a number is too large");
    return found;
  }
  if (operator === "+" && typeof a === "string") return fail(`can only concatenate str (not "${typeOf(b)}") to str`);
  return fail(`unsupported operand type(s) for ${operator}: '${typeOf(a)}' and '${typeOf(b)}'`);
}
