import { failureOf } from "./ask.ts";
import { unreachable } from "./failure.ts";
import { authorization } from "./session.svelte.ts";

/** A field of an input, or an argument, as the schema says it. */
export interface InputField {
  readonly name: string;
  readonly description: string;
  /** Of what it holds, or of what its list holds. */
  readonly type: string;
  readonly kind: "SCALAR" | "ENUM" | "INPUT_OBJECT";
  readonly isList: boolean;
  /** Whether it must be said: it may not be null and has no default. */
  readonly isRequired: boolean;
  readonly isNullable: boolean;
  /** What it is where nothing is said; undefined where there is no default. */
  readonly standard: unknown;
}

export interface InputType {
  readonly name: string;
  readonly description: string;
  readonly isOneOf: boolean;
  readonly fields: readonly InputField[];
  /** Of an enum. */
  readonly values: readonly { readonly name: string; readonly description: string }[];
}

interface TypeReference {
  readonly kind: string;
  readonly name: string | null;
  readonly ofType: TypeReference | null;
}

interface Introspected {
  readonly name: string;
  readonly description: string | null;
  readonly isOneOf: boolean | null;
  readonly inputFields: readonly { name: string; description: string | null; defaultValue: string | null; type: TypeReference }[] | null;
  readonly enumValues: readonly { name: string; description: string | null }[] | null;
}

const query = `query InputType($name: String!) { __type(name: $name) {
  name description isOneOf enumValues { name description }
  inputFields { name description defaultValue type { ...T ofType { ...T ofType { ...T ofType { ...T } } } } }
} } fragment T on __Type { kind name }`;

const known = new Map<string, Promise<InputType>>();

/** What the schema says of an input or an enum, asked for once. @throws Failure */
export function inputType(name: string): Promise<InputType> {
  const asked = known.get(name) ?? read(name);
  known.set(name, asked);
  asked.catch(() => known.delete(name));
  return asked;
}

/** Asks for an input and all that its fields are made of, so that a form of it stands at once. @throws Failure */
export async function inputTypeWhole(name: string, asked: Set<string> = new Set()): Promise<void> {
  asked.add(name);
  const { fields } = await inputType(name);
  const parts = fields.filter(({ kind, type }) => kind !== "SCALAR" && !asked.has(type)).map(({ type }) => type);
  await Promise.all([...new Set(parts)].map((part) => inputTypeWhole(part, asked)));
}

async function read(name: string): Promise<InputType> {
  const headers = { "content-type": "application/json", ...authorization() };
  const body = JSON.stringify({ query, variables: { name } });
  const response = await fetch("graphql", { method: "POST", headers, body }).catch(() => {
    throw unreachable();
  });
  const { data, errors } = await response.json();
  if (errors || !data.__type) throw failureOf(errors ?? [{ message: `the schema has no ${name}` }]);
  const type = data.__type as Introspected;
  const described = <Each extends { description: string | null }>(each: Each) => ({ ...each, description: each.description ?? "" });
  return {
    name,
    description: type.description ?? "",
    isOneOf: type.isOneOf ?? false,
    fields: (type.inputFields ?? []).map(fieldOf),
    values: (type.enumValues ?? []).map(described),
  };
}

function fieldOf({ name, description, defaultValue, type }: NonNullable<Introspected["inputFields"]>[number]): InputField {
  const isNullable = type.kind !== "NON_NULL";
  let [named, isList] = [type, false];
  for (; named.ofType; named = named.ofType) isList ||= named.kind === "LIST";
  const standard = defaultValue === null ? undefined : literal(defaultValue);
  return {
    name,
    description: description ?? "",
    type: named.name ?? "",
    kind: named.kind as InputField["kind"],
    isList,
    isRequired: !isNullable && defaultValue === null,
    isNullable,
    standard,
  };
}

/** Reads a value as GraphQL writes it: `{kind: TOKEN, rate: 1, kinds: [LAYER]}`. */
export function literal(text: string): unknown {
  const tokens = text.match(/"(?:\\.|[^"\\])*"|[{}[\]:]|[^\s,{}[\]:"]+/g) ?? [];
  let next = 0;
  const value = (): unknown => {
    const token = tokens[next++] ?? "null";
    if (token === "[") {
      const list: unknown[] = [];
      while (next < tokens.length && tokens[next] !== "]") list.push(value());
      next++;
      return list;
    }
    if (token === "{") {
      const entries: [string, unknown][] = [];
      while (next < tokens.length && tokens[next] !== "}") {
        const name = tokens[next] as string;
        next += 2;
        entries.push([name, value()]);
      }
      next++;
      return Object.fromEntries(entries);
    }
    // What is no number, text or keyword of JSON is a value of an enum.
    return /^(?:["\d-]|true$|false$|null$)/.test(token) ? JSON.parse(token) : token;
  };
  return value();
}
