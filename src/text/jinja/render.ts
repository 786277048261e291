import { append } from "../../large-lists.ts";
import { attribute, item, slice } from "./access.ts";
import { calculate } from "./arithmetic.ts";
import { filters } from "./filters.ts";
import { globals, undefinedName } from "./globals.ts";
import { begin, largest, spend } from "./limits.ts";
import type { Arguments, Block, Expression, Parameter, Statement, Target } from "./syntax.ts";
import { TemplateError } from "./template-error.ts";
import { tests } from "./tests.ts";
import {
  Callable,
  contains,
  equal,
  fail,
  type Given,
  isNumber,
  iterate,
  Namespace,
  order,
  present,
  Range,
  repr,
  Tuple,
  text,
  truth,
  typeOf,
  Undefined,
  type Value,
  View,
} from "./values.ts";

/** Names and what they stand for; what is not here is looked for further out. */
class Scope {
  readonly #own = new Map<string, Value>();
  constructor(private readonly outer: Scope | ReadonlyMap<string, Value>) {}

  get(name: string): Value | undefined {
    const found = this.#own.get(name);
    return found === undefined ? this.outer.get(name) : found;
  }

  set(name: string, value: Value): void {
    this.#own.set(name, value);
  }
}

/** Why a body was left before its end. */
type Left = "break" | "continue" | undefined;

const comparison: Readonly<Record<string, (a: Value, b: Value) => boolean>> = {
  "==": equal,
  "!=": (a, b) => !equal(a, b),
  "<": (a, b) => order(a, b, "<") < 0,
  "<=": (a, b) => order(a, b, "<=") <= 0,
  ">": (a, b) => order(a, b, ">") > 0,
  ">=": (a, b) => order(a, b, ">=") >= 0,
  in: (a, b) => contains(b, a),
  "not in": (a, b) => !contains(b, a),
};

/** Writes what a template makes of the names it is given. @throws TemplateError, with the line */
export function render(template: Block, names: ReadonlyMap<string, Value>): string {
  begin();
  const scope = new Scope(new Scope(globals));
  for (const [name, value] of names) scope.set(name, value);
  return new Rendering().text(template, scope);
}

class Rendering {
  #out: string[] = [];
  #length = 0;
  #depth = 0;

  /** What a body writes. */
  text(body: Block, scope: Scope): string {
    return this.#written(() => this.#run(body, scope));
  }

  #written(work: () => void): string {
    const before = { out: this.#out, length: this.#length };
    this.#out = [];
    this.#length = 0;
    work();
    const written = this.#out.join("");
    this.#out = before.out;
    this.#length = before.length;
    return written;
  }

  #write(written: string): void {
    this.#length += written.length;
    if (this.#length > largest.text) fail(`it writes more than ${largest.text} characters`);
    this.#out.push(written);
  }

  #run(body: Block, scope: Scope): Left {
    for (const statement of body) {
      const left = at(statement.line, () => this.#statement(statement, scope));
      if (left) return left;
    }
    return undefined;
  }

  #statement(statement: Statement, scope: Scope): Left {
    spend();
    switch (statement.kind) {
      case "text":
        this.#write(statement.text);
        return;
      case "print":
        this.#write(text(this.#value(statement.value, scope)));
        return;
      case "if": {
        const branch = statement.branches.find(([test]) => truth(this.#value(test, scope)));
        return this.#run(branch ? branch[1] : statement.otherwise, scope);
      }
      case "for":
        return this.#loop(statement, this.#value(statement.over, scope), scope, 0);
      case "set":
        this.#assign(statement.target, this.#value(statement.value, scope), scope);
        return;
      case "capture": {
        const body = this.text(statement.body, new Scope(scope));
        const found = statement.filter ? this.#value(statement.filter, scope, body) : body;
        if (statement.target) this.#assign(statement.target, found, scope);
        else this.#write(text(found));
        return;
      }
      case "with": {
        const inner = new Scope(scope);
        const values = statement.names.map(([, value]) => this.#value(value, scope));
        for (const [i, [target]] of statement.names.entries()) this.#assign(target, values[i] as Value, inner);
        return this.#run(statement.body, inner);
      }
      case "macro":
        scope.set(statement.name, this.#macro(statement.name, statement.parameters, statement.body, scope));
        return;
      case "call": {
        const caller = this.#macro("caller", statement.parameters, statement.body, scope);
        this.#write(text(this.#value(statement.call, scope, undefined, caller)));
        return;
      }
      default:
        return statement.kind;
    }
  }

  #assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === "name") scope.set(target.name, value);
    else if (target.kind === "field") {
      const namespace = scope.get(target.name);
      if (!(namespace instanceof Namespace)) throw new TemplateError("cannot assign attribute on non-namespace object");
      namespace.fields.set(target.field, value);
    } else {
      const items = iterate(value);
      const { length } = target.items;
      if (items.length !== length) fail(`${items.length < length ? "not enough" : "too many"} values to unpack (expected ${length})`);
      for (const [i, inner] of target.items.entries()) this.#assign(inner, items[i] as Value, scope);
    }
  }

  #deeper<T>(work: () => T): T {
    if (++this.#depth > largest.depth) fail(`more than ${largest.depth} macros and loops run within each other`);
    const found = work();
    this.#depth--;
    return found;
  }

  #loop(statement: Statement & { kind: "for" }, over: Value, outer: Scope, depth: number): Left {
    return this.#deeper(() => {
      const { target, only, recursive, body, otherwise } = statement;
      const passes = (value: Value): boolean => {
        if (!only) return true;
        const scope = new Scope(outer);
        this.#assign(target, value, scope);
        return truth(this.#value(only, scope));
      };
      const again = (value: Value): Value => {
        if (!recursive) return fail("The loop must have the 'recursive' marker to be called recursively.");
        return this.#written(() => this.#loop(statement, value, outer, depth + 1));
      };
      const items = new Items(iterate(over), passes);
      const loop = loopOf(items, depth, again);
      // As Jinja has it, an iteration that was left before its end does not count.
      let any = false;
      while (items.move()) {
        spend();
        const scope = new Scope(outer);
        scope.set("loop", loop);
        this.#assign(target, items.current as Value, scope);
        const left = this.#run(body, scope);
        if (left === "break") break;
        if (!left) any = true;
      }
      return any ? undefined : this.#run(otherwise, new Scope(outer));
    });
  }

  #macro(name: string, parameters: readonly Parameter[], body: Block, outer: Scope): Callable {
    const call = ({ positional, named }: Given): Value =>
      this.#deeper(() => {
        const scope = new Scope(outer);
        const known = new Set(parameters.map((p) => p.name));
        for (const [i, parameter] of parameters.entries()) {
          if (i < positional.length && named.has(parameter.name))
            fail(`macro '${name}' got multiple values for argument '${parameter.name}'`);
          const given = positional[i] === undefined ? named.get(parameter.name) : positional[i];
          const missing = () => new Undefined(`parameter '${parameter.name}' was not provided`);
          scope.set(
            parameter.name,
            given !== undefined ? given : parameter.otherwise ? this.#value(parameter.otherwise, scope) : missing(),
          );
        }
        const more = new Map([...named].filter(([key]) => !known.has(key)));
        const uses = namesIn(body);
        scope.set("caller", more.get("caller") ?? new Undefined("No caller defined"));
        if (uses.has("caller")) more.delete("caller");
        if (positional.length > parameters.length && !uses.has("varargs"))
          fail(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
        if (more.size > 0 && !uses.has("kwargs")) fail(`macro '${name}' takes no keyword argument '${[...more.keys()][0]}'`);
        scope.set("varargs", new Tuple(positional.slice(parameters.length)));
        scope.set("kwargs", new Map(more));
        return this.text(body, scope);
      });
    return new Callable(name, call, new Map([["name", () => name]]));
  }

  /** @param filtered what a chain of filters begins with; @param caller what a call block hands on */
  #value(expression: Expression, scope: Scope, filtered?: string, caller?: Callable): Value {
    return at(expression.line, () => {
      const found = this.#worked(expression, scope, filtered, caller);
      const size = sizeOf(found);
      if (size > (typeof found === "string" ? largest.text : largest.items)) fail(`a value of ${size} parts is too long`);
      spend(1 + Math.floor(size / largest.sizeOfStep));
      return found;
    });
  }

  #worked(e: Expression, scope: Scope, filtered: string | undefined, caller: Callable | undefined): Value {
    const value = (inner: Expression): Value => this.#value(inner, scope);
    switch (e.kind) {
      case "constant":
        return e.value;
      case "name":
        return scope.get(e.name) === undefined ? undefinedName(e.name) : (scope.get(e.name) as Value);
      case "list":
        return e.items.map(value);
      case "tuple":
        return new Tuple(e.items.map(value));
      case "dict":
        return dictOf(e.entries.map(([key, inner]) => [value(key), value(inner)]));
      case "attribute":
        return attribute(value(e.of), e.name);
      case "item":
        return item(value(e.of), value(e.key));
      case "slice": {
        const of = value(e.of);
        return slice(
          of,
          e.bounds.map((bound) => bound && value(bound)),
        );
      }
      case "call": {
        const called = present(value(e.of));
        if (!(called instanceof Callable)) return fail(`'${typeOf(called)}' object is not callable`);
        const given = this.#given([], e.args, scope);
        return called.call(caller ? { ...given, named: new Map([...given.named, ["caller", caller]]) } : given);
      }
      case "filter": {
        const of = e.of ? this.#value(e.of, scope, filtered) : (filtered as string);
        return (filters[e.name] as (given: Given) => Value)(this.#given([of], e.args, scope));
      }
      case "test":
        // To ask whether it is defined is no use of it.
        return (tests[e.name] as (given: Given) => boolean)(this.#given([value(e.of)], e.args, scope));
      case "unary":
        return negated(e.operator, value(e.of));
      case "binary": {
        const left = value(e.left);
        if (e.operator === "and") return truth(left) ? value(e.right) : left;
        if (e.operator === "or") return truth(left) ? left : value(e.right);
        return calculate(e.operator, left, value(e.right));
      }
      case "compare": {
        let left = value(e.first);
        for (const [operator, inner] of e.rest) {
          const right = value(inner);
          if (!(comparison[operator] as (a: Value, b: Value) => boolean)(left, right)) return false;
          left = right;
        }
        return true;
      }
      case "concat":
        return e.items.map((inner) => text(value(inner))).join("");
      case "choice":
        if (truth(value(e.test))) return value(e.yes);
        return e.otherwise
          ? value(e.otherwise)
          : new Undefined("the inline if-expression evaluated to false and no else section was defined.");
    }
  }

  #given(first: readonly Value[], { positional, named, more, moreNamed }: Arguments, scope: Scope): Given {
    const all = [...first, ...positional.map((e) => this.#value(e, scope))];
    const names = new Map(named.map(([name, e]) => [name, this.#value(e, scope)]));
    if (more) append(all, iterate(this.#value(more, scope)));
    const dict = moreNamed && this.#value(moreNamed, scope);
    if (dict !== null && !(dict instanceof Map)) fail("argument after ** must be a mapping");
    for (const [key, value] of (dict ?? new Map()) as Map<Value, Value>)
      names.set(typeof key === "string" ? key : fail("keywords must be strings"), value);
    return { positional: all, named: names };
  }
}

/** How long a value takes to go through. */
function sizeOf(value: Value): number {
  if (typeof value === "string" || Array.isArray(value)) return value.length;
  if (value instanceof Range) return value.length;
  return value instanceof Tuple || value instanceof View ? value.items.length : 0;
}

function negated(operator: "not" | "-" | "+", value: Value): Value {
  if (operator === "not") return !truth(value);
  if (!isNumber(present(value))) return fail(`bad operand type for unary ${operator}: '${typeOf(value)}'`);
  return calculate("*", value, operator === "-" ? -1n : 1n);
}

function dictOf(entries: readonly (readonly [key: Value, value: Value])[]): Value {
  const keys = new Map<string, Value>();
  const dict = new Map<Value, Value>();
  for (const [key, value] of entries) {
    // Of equal keys the first stays, with the last value.
    const name = typeof key === "string" ? `s${key}` : isNumber(key) ? `n${Number(key)}` : `o${repr(key)}`;
    if (Array.isArray(key) || key instanceof Map) fail(`unhashable type: '${typeOf(key)}'`);
    if (!keys.has(name)) keys.set(name, key);
    dict.set(keys.get(name) as Value, value);
  }
  return dict;
}

/** Runs work, and says the line of what fails in it. */
function at<T>(line: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof TemplateError && error.line === null) throw new TemplateError(error.reason, line);
    throw error;
  }
}

/** What a loop goes through: a filter is asked no sooner than an item is needed. */
class Items {
  #at = 0;
  /** Those that have passed, up to the one that is looked at and as far ahead as was asked. */
  readonly #ready: Value[] = [];
  index = -1;

  constructor(
    private readonly all: readonly Value[],
    private readonly passes: (value: Value) => boolean,
  ) {}

  #more(): boolean {
    while (this.#at < this.all.length) {
      const value = this.all[this.#at++] as Value;
      if (!this.passes(value)) continue;
      this.#ready.push(value);
      return true;
    }
    return false;
  }

  get next(): Value | undefined {
    return this.index + 1 < this.#ready.length || this.#more() ? this.#ready[this.index + 1] : undefined;
  }

  get current(): Value | undefined {
    return this.#ready[this.index];
  }

  get previous(): Value | undefined {
    return this.#ready[this.index - 1];
  }

  get length(): number {
    while (this.#more());
    return this.#ready.length;
  }

  move(): boolean {
    if (this.next === undefined) return false;
    this.index++;
    return true;
  }
}

function loopOf(items: Items, depth: number, again: (value: Value) => Value): Callable {
  const whole = (n: number) => BigInt(n);
  let last: Value[] | undefined;
  const cycle = new Callable(
    "cycle",
    ({ positional }) => positional[items.index % positional.length] ?? fail("no items for cycling given"),
  );
  const changed = new Callable("changed", ({ positional }) => {
    const same = last !== undefined && equal(last, [...positional]);
    last = [...positional];
    return !same;
  });
  const fields: Readonly<Record<string, () => Value>> = {
    changed: () => changed,
    cycle: () => cycle,
    depth: () => whole(depth + 1),
    depth0: () => whole(depth),
    first: () => items.index === 0,
    index: () => whole(items.index + 1),
    index0: () => whole(items.index),
    last: () => items.next === undefined,
    length: () => whole(items.length),
    nextitem: () => items.next ?? new Undefined("there is no next item"),
    previtem: () => items.previous ?? new Undefined("there is no previous item"),
    revindex: () => whole(items.length - items.index),
    revindex0: () => whole(items.length - items.index - 1),
  };
  return new Callable(
    "loop",
    ({ positional: [value] }) => again(value ?? fail("loop takes what to go through")),
    new Map(Object.entries(fields)),
  );
}

const known = new WeakMap<Block, ReadonlySet<string>>();

/** The names that a body reads, wherever in it. */
function namesIn(body: Block): ReadonlySet<string> {
  const before = known.get(body);
  if (before) return before;
  const found = new Set<string>();
  const visit = (node: unknown): void => {
    if (typeof node !== "object" || node === null) return;
    const { kind, name } = node as { readonly kind?: unknown; readonly name?: unknown };
    if (kind === "name" && typeof name === "string") found.add(name);
    for (const inner of Object.values(node)) visit(inner);
  };
  visit(body);
  known.set(body, found);
  return found;
}
