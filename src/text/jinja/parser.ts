import { filters } from "./filters.ts";
import { type Token, tokenize } from "./lexer.ts";
import type { Arguments, Block, Expression, Parameter, Statement, Target } from "./syntax.ts";
import { TemplateError } from "./template-error.ts";
import { tests } from "./tests.ts";

/** Brackets and blocks within each other: far more than any template has, and few enough to walk through. */
const deepest = 150;

/** Filters that apply one, or a test, to each item: the first of what they are given names it, or the second after an attribute. */
const applied: Readonly<Record<string, "filter" | "test">> = {
  map: "filter",
  reject: "test",
  rejectattr: "test",
  select: "test",
  selectattr: "test",
};

const noArguments: Arguments = { positional: [], named: [], more: null, moreNamed: null };
const constants: Readonly<Record<string, null | boolean>> = { true: true, True: true, false: false, False: false, none: null, None: null };
const comparisons: ReadonlySet<string> = new Set(["==", "!=", "<", "<=", ">", ">="]);
/** What Jinja itself defines, and no template for conversations needs. */
const reserved: ReadonlySet<string> = new Set(["self", "super", "lipsum"]);
const unsupported: ReadonlySet<string> = new Set(["include", "import", "from", "extends", "block", "autoescape"]);

/** Parses a template. @throws TemplateError where it is no Jinja, or has a statement that is not supported */
export const parse = (template: string): Block => new Parser(tokenize(template)).whole();

/** Recursive descent by Jinja's own grammar (jinja2/parser.py), whose precedences are not quite Python's. */
class Parser {
  #at = 0;
  #depth = 0;
  #loops = 0;
  constructor(private readonly tokens: readonly Token[]) {}

  whole(): Block {
    const body = this.#body([]);
    if (this.#now.type !== "end") this.#fail(`unexpected ${shown(this.#now)}`);
    return body;
  }

  get #now(): Token {
    return this.tokens[this.#at] as Token;
  }

  #fail(reason: string, line = this.#now.line): never {
    throw new TemplateError(reason, line);
  }

  #next(): Token {
    const token = this.#now;
    if (token.type !== "end") this.#at++;
    return token;
  }

  #is(type: Token["type"], ...values: readonly string[]): boolean {
    return this.#now.type === type && (values.length === 0 || values.includes(this.#now.value));
  }

  #skip(type: Token["type"], value: string): boolean {
    const found = this.#is(type, value);
    if (found) this.#at++;
    return found;
  }

  #expect(type: Token["type"], value?: string): Token {
    if (!(value === undefined ? this.#is(type) : this.#is(type, value))) this.#fail(`expected ${value ?? type}, found ${shown(this.#now)}`);
    return this.#next();
  }

  #deeper<T>(work: () => T): T {
    if (++this.#depth > deepest) this.#fail(`more than ${deepest} brackets and blocks stand in each other`);
    const found = work();
    this.#depth--;
    return found;
  }

  /** Up to a block that begins with one of these names, which is left at that name. */
  #body(ends: readonly string[]): Block {
    return this.#deeper(() => {
      const body: Statement[] = [];
      for (;;) {
        const { type, value, line } = this.#now;
        if (type === "data") {
          body.push({ kind: "text", text: value, line });
          this.#at++;
        } else if (type === "begin print") {
          this.#at++;
          body.push({ kind: "print", value: this.#tuple(), line });
          this.#expect("end print");
        } else if (type === "begin block") {
          this.#at++;
          if (this.#is("name", ...ends) && ends.length > 0) return body;
          body.push(this.#statement());
          this.#expect("end block");
        } else {
          if (ends.length > 0) this.#fail(`expected ${ends.join(" or ")}, found ${shown(this.#now)}`);
          return body;
        }
      }
    });
  }

  /** A body, and the block that ends it. */
  #until(...ends: readonly string[]): { body: Block; end: string } {
    this.#expect("end block");
    const body = this.#body(ends);
    return { body, end: this.#next().value };
  }

  #statement(): Statement {
    const { value: name, line } = this.#expect("name");
    switch (name) {
      case "if":
        return this.#if(line);
      case "for":
        return this.#for(line);
      case "set":
        return this.#set(line);
      case "with":
        return this.#with(line);
      case "macro":
        return this.#macro(line);
      case "call": {
        const parameters = this.#is("operator", "(") ? this.#parameters() : [];
        const call = this.#expression();
        if (call.kind !== "call") this.#fail("expected a call", line);
        return { kind: "call", parameters, call, body: this.#outsideLoops("endcall"), line };
      }
      case "filter": {
        const filter = this.#filters(null, true);
        return { kind: "capture", target: null, filter, body: this.#until("endfilter").body, line };
      }
      case "generation":
        return { kind: "capture", target: null, filter: null, body: this.#outsideLoops("endgeneration"), line };
      case "break":
      case "continue":
        if (this.#loops === 0) this.#fail(`${name} stands outside of a loop`, line);
        return { kind: name, line };
      default:
        return this.#fail(unsupported.has(name) ? `the statement "${name}" is not supported` : `there is no statement "${name}"`, line);
    }
  }

  /** The body of what becomes a function: loops around it cannot be left from within. */
  #outsideLoops(end: string): Block {
    const loops = this.#loops;
    this.#loops = 0;
    const { body } = this.#until(end);
    this.#loops = loops;
    return body;
  }

  #if(line: number): Statement {
    const branches: [Expression, Block][] = [];
    for (;;) {
      const test = this.#tuple(false);
      const { body, end } = this.#until("elif", "else", "endif");
      branches.push([test, body]);
      if (end === "elif") continue;
      return { kind: "if", branches, otherwise: end === "else" ? this.#until("endif").body : [], line };
    }
  }

  #for(line: number): Statement {
    const target = this.#target(["in"]);
    this.#expect("name", "in");
    const over = this.#tuple(false, ["recursive"]);
    const only = this.#skip("name", "if") ? this.#expression() : null;
    const recursive = this.#skip("name", "recursive");
    this.#loops++;
    const { body, end } = this.#until("endfor", "else");
    this.#loops--;
    return { kind: "for", target, over, only, recursive, body, otherwise: end === "else" ? this.#until("endfor").body : [], line };
  }

  #set(line: number): Statement {
    const target = this.#target([], true);
    if (this.#skip("operator", "=")) return { kind: "set", target, value: this.#tuple(), line };
    const filter = this.#is("operator", "|") ? this.#filters(null, false) : null;
    return { kind: "capture", target, filter, body: this.#until("endset").body, line };
  }

  #with(line: number): Statement {
    const names: [Target, Expression][] = [];
    while (!this.#is("end block")) {
      if (names.length > 0) this.#expect("operator", ",");
      const target = this.#oneTarget(false);
      this.#expect("operator", "=");
      names.push([target, this.#expression()]);
    }
    return { kind: "with", names, body: this.#until("endwith").body, line };
  }

  #macro(line: number): Statement {
    const name = this.#expect("name").value;
    if (name in constants) this.#fail(`"${name}" cannot be a macro`, line);
    return { kind: "macro", name, parameters: this.#parameters(), body: this.#outsideLoops("endmacro"), line };
  }

  #parameters(): Parameter[] {
    const parameters: Parameter[] = [];
    this.#expect("operator", "(");
    while (!this.#skip("operator", ")")) {
      if (parameters.length > 0) this.#expect("operator", ",");
      const name = this.#expect("name").value;
      const otherwise = this.#skip("operator", "=") ? this.#expression() : null;
      if (otherwise === null && parameters.at(-1)?.otherwise)
        this.#fail(`the parameter "${name}" needs a default, as one before it has one`);
      parameters.push({ name, otherwise });
    }
    return parameters;
  }

  #oneTarget(fields: boolean): Target {
    const { value: name } = this.#expect("name");
    if (name in constants) this.#fail(`"${name}" cannot be assigned to`);
    if (fields && this.#skip("operator", ".")) return { kind: "field", name, field: this.#expect("name").value };
    return { kind: "name", name };
  }

  #target(ends: readonly string[], fields = false): Target {
    const items: Target[] = [];
    let tuple = false;
    do {
      if (tuple && (this.#is("name", ...ends) || this.#is("operator", "=", ")")) && !(ends.length === 0 && this.#is("name"))) break;
      if (this.#skip("operator", "(")) {
        items.push(this.#target([], fields));
        this.#expect("operator", ")");
      } else items.push(this.#oneTarget(fields));
      if (!this.#is("operator", ",")) break;
      tuple = true;
    } while (this.#skip("operator", ","));
    return tuple ? { kind: "tuple", items } : (items[0] as Target);
  }

  /** Expressions with commas between them, or one. */
  #tuple(choices = true, ends: readonly string[] = [], brackets = false): Expression {
    const { line } = this.#now;
    const items: Expression[] = [];
    let tuple = false;
    while (!this.#tupleEnds(ends)) {
      items.push(choices ? this.#expression() : this.#or());
      if (!this.#skip("operator", ",")) break;
      tuple = true;
    }
    if (!tuple && items.length === 1) return items[0] as Expression;
    if (items.length === 0 && !brackets) this.#fail(`expected an expression, found ${shown(this.#now)}`);
    return { kind: "tuple", items, line };
  }

  #tupleEnds(ends: readonly string[]): boolean {
    return this.#is("end print") || this.#is("end block") || this.#is("operator", ")") || (ends.length > 0 && this.#is("name", ...ends));
  }

  #expression(): Expression {
    return this.#deeper(() => {
      const { line } = this.#now;
      let found = this.#or();
      while (this.#skip("name", "if")) {
        const test = this.#or();
        found = { kind: "choice", test, yes: found, otherwise: this.#skip("name", "else") ? this.#expression() : null, line };
      }
      return found;
    });
  }

  #left(operators: readonly string[], operand: () => Expression, type: Token["type"] = "operator"): Expression {
    let left = operand();
    while (this.#is(type, ...operators)) {
      const { value: operator, line } = this.#next();
      left = { kind: "binary", operator, left, right: operand(), line };
    }
    return left;
  }

  #or = (): Expression => this.#left(["or"], this.#and, "name");
  #and = (): Expression => this.#left(["and"], this.#not, "name");
  #not = (): Expression => {
    const { line } = this.#now;
    return this.#skip("name", "not") ? this.#deeper(() => ({ kind: "unary", operator: "not", of: this.#not(), line })) : this.#compare();
  };

  #compare(): Expression {
    const { line } = this.#now;
    const first = this.#sum();
    const rest: [string, Expression][] = [];
    for (;;) {
      const { type, value } = this.#now;
      if (type === "operator" && comparisons.has(value)) this.#at++;
      else if (type === "name" && value === "in") this.#at++;
      else if (type === "name" && value === "not" && this.tokens[this.#at + 1]?.value === "in") this.#at += 2;
      else return rest.length > 0 ? { kind: "compare", first, rest, line } : first;
      rest.push([value === "not" ? "not in" : value, this.#sum()]);
    }
  }

  #sum = (): Expression => this.#left(["+", "-"], this.#concat);
  #concat = (): Expression => {
    const { line } = this.#now;
    const items = [this.#product()];
    while (this.#skip("operator", "~")) items.push(this.#product());
    return items.length > 1 ? { kind: "concat", items, line } : (items[0] as Expression);
  };
  #product = (): Expression => this.#left(["*", "/", "//", "%"], this.#power);
  // From left to right, unlike in Python.
  #power = (): Expression => this.#left(["**"], () => this.#unary(true));

  #unary(filters: boolean): Expression {
    const { value, line } = this.#now;
    const signed = this.#is("operator", "-", "+");
    if (signed) this.#at++;
    const found = signed
      ? this.#deeper((): Expression => ({ kind: "unary", operator: value as "-" | "+", of: this.#unary(false), line }))
      : this.#primary();
    const whole = this.#postfix(found);
    return filters ? this.#filters(whole, false) : whole;
  }

  #primary(): Expression {
    const { type, value, line } = this.#next();
    switch (type) {
      case "name":
        if (reserved.has(value)) this.#fail(`the name "${value}" is not supported`, line);
        return value in constants
          ? { kind: "constant", value: constants[value] as null | boolean, line }
          : { kind: "name", name: value, line };
      case "string": {
        let text = unescaped(value);
        while (this.#is("string")) text += unescaped(this.#next().value);
        return { kind: "constant", value: text, line };
      }
      case "integer":
        return { kind: "constant", value: BigInt(value.replaceAll("_", "")), line };
      case "float":
        return { kind: "constant", value: Number(value.replaceAll("_", "")), line };
      case "operator":
        if (value === "(") {
          const found = this.#deeper(() => this.#tuple(true, [], true));
          this.#expect("operator", ")");
          return found;
        }
        if (value === "[") return { kind: "list", items: this.#listed("]", () => this.#expression()), line };
        if (value === "{")
          return {
            kind: "dict",
            entries: this.#listed("}", () => {
              const key = this.#expression();
              this.#expect("operator", ":");
              return [key, this.#expression()] as const;
            }),
            line,
          };
    }
    return this.#fail(`unexpected ${shown({ type, value })}`, line);
  }

  #listed<T>(end: string, item: () => T): T[] {
    const items: T[] = [];
    while (!this.#skip("operator", end)) {
      if (items.length > 0) this.#expect("operator", ",");
      if (this.#skip("operator", end)) break;
      items.push(item());
    }
    return items;
  }

  #postfix(begun: Expression): Expression {
    let found = begun;
    for (;;) {
      const { line } = this.#now;
      if (this.#skip("operator", ".")) {
        const { type, value } = this.#next();
        if (type === "name") found = { kind: "attribute", of: found, name: value, line };
        else if (type === "integer") found = { kind: "item", of: found, key: { kind: "constant", value: BigInt(value), line }, line };
        else this.#fail("expected a name or a number after a dot", line);
      } else if (this.#skip("operator", "[")) found = this.#subscript(found, line);
      else if (this.#is("operator", "(")) found = { kind: "call", of: found, args: this.#arguments(), line };
      else return found;
    }
  }

  #subscript(of: Expression, line: number): Expression {
    const ends = () => this.#is("operator", ":", "]", ",");
    const bounds: (Expression | null)[] = [ends() ? null : this.#expression()];
    while (bounds.length < 3 && this.#skip("operator", ":")) bounds.push(ends() ? null : this.#expression());
    if (bounds.length === 1) {
      const first = bounds[0] ?? this.#fail("expected an expression between brackets", line);
      const items = [first];
      while (this.#skip("operator", ",")) items.push(this.#expression());
      this.#expect("operator", "]");
      return { kind: "item", of, key: items.length === 1 ? first : { kind: "tuple", items, line }, line };
    }
    this.#expect("operator", "]");
    const [from = null, to = null, step = null] = bounds;
    return { kind: "slice", of, bounds: [from, to, step], line };
  }

  #arguments(): Arguments {
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let more: Expression | null = null;
    let moreNamed: Expression | null = null;
    this.#expect("operator", "(");
    this.#listed(")", () => {
      if (this.#skip("operator", "**")) moreNamed = this.#expression();
      else if (this.#skip("operator", "*")) more = this.#expression();
      else if (this.#is("name") && this.tokens[this.#at + 1]?.type === "operator" && this.tokens[this.#at + 1]?.value === "=") {
        const { value } = this.#next();
        this.#at++;
        named.push([value, this.#expression()]);
      } else {
        if (named.length > 0 || more || moreNamed) this.#fail("an argument without a name follows one with a name");
        positional.push(this.#expression());
      }
    });
    return { positional, named, more, moreNamed };
  }

  /** Filters, tests and calls after an expression. */
  #filters(begun: Expression | null, inline: boolean): Expression {
    let found = begun;
    let first = inline;
    for (;;) {
      const { line } = this.#now;
      if (first || this.#skip("operator", "|")) {
        first = false;
        const name = this.#known("filter", this.#dotted(), line);
        const args = this.#is("operator", "(") ? this.#arguments() : noArguments;
        const inner = args.positional[name.endsWith("attr") ? 1 : 0];
        if (inner?.kind === "constant" && name in applied) this.#known(applied[name] as "filter" | "test", String(inner.value), line);
        found = { kind: "filter", of: found, name, args, line };
      } else if (found && this.#skip("name", "is")) found = this.#test(found, line);
      else if (found && this.#is("operator", "(")) found = { kind: "call", of: found, args: this.#arguments(), line };
      else return found ?? this.#fail("expected a filter", line);
    }
  }

  /** Jinja too refuses, before anything is rendered, what it does not know. */
  #known(what: "filter" | "test", name: string, line: number): string {
    if (!Object.hasOwn(what === "filter" ? filters : tests, name))
      this.#fail(`there is no ${what} "${name}", or it is not supported`, line);
    return name;
  }

  #dotted(): string {
    let name = this.#expect("name").value;
    while (this.#skip("operator", ".")) name += `.${this.#expect("name").value}`;
    return name;
  }

  #test(of: Expression, line: number): Expression {
    const negated = this.#skip("name", "not");
    const name = this.#known("test", this.#dotted(), line);
    let args = noArguments;
    if (this.#is("operator", "(")) args = this.#arguments();
    else if (
      ["name", "string", "integer", "float"].includes(this.#now.type)
        ? !this.#is("name", "else", "or", "and")
        : this.#is("operator", "[", "{")
    ) {
      if (this.#is("name", "is")) this.#fail("tests cannot be chained");
      args = { ...noArguments, positional: [this.#postfix(this.#primary())] };
    }
    const test: Expression = { kind: "test", of, name, args, line };
    return negated ? { kind: "unary", operator: "not", of: test, line } : test;
  }
}

const shown = ({ type, value }: Pick<Token, "type" | "value">): string =>
  type === "end" ? "the end of the template" : ["name", "string", "integer", "float", "operator"].includes(type) ? value : `the ${type}`;

const escapes: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
};

/** The text of a string with its quotes, by Python's escapes; what is none stays as it is. */
const unescaped = (quoted: string): string =>
  quoted
    .slice(1, -1)
    .replace(/\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/gu, (whole, x, u, U, octal, other) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      const digits = x ?? u ?? U;
      return digits === undefined ? (escapes[other] ?? whole) : String.fromCodePoint(Number.parseInt(digits, 16));
    });
