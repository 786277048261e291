import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type GraphQLInputType, getNamedType, isCompositeType, isInputObjectType, isListType, isNonNullType } from "graphql";
import { createClient } from "graphql-sse";
import { buildSchema } from "../../src/api/schema.ts";
import { type Answer, type TestApi, testApi } from "../support/api.ts";
import { filler } from "../support/filler.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false });
});
after(() => api.close());

const schema = buildSchema();
const nul = "be\0fore";

/** Every text in values of a type: its path, and a value that has NUL there and nowhere else. */
function texts(type: GraphQLInputType, path: string): [path: string, value: unknown][] {
  if (isNonNullType(type)) return texts(type.ofType, path);
  if (isListType(type)) return texts(type.ofType, `${path}[0]`).map(([at, value]) => [at, [value]]);
  if (isInputObjectType(type))
    return Object.values(type.getFields()).flatMap((field) =>
      texts(field.type, `${path}.${field.name}`).map(([at, value]): [string, unknown] => [
        at,
        { ...(type.isOneOf ? {} : (filler(type) as object)), [field.name]: value },
      ]),
    );
  return ["String", "ID"].includes(String(type)) ? [[path, nul]] : [];
}

interface Case {
  readonly operation: string;
  readonly argument: string;
  readonly query: string;
  readonly variables: Record<string, unknown>;
}

/** For every text that a root field takes an operation with NUL in it. */
const cases: Case[] = (["query", "mutation", "subscription"] as const).flatMap((operation) =>
  Object.values(
    { query: schema.getQueryType(), mutation: schema.getMutationType(), subscription: schema.getSubscriptionType() }[
      operation
    ]?.getFields() ?? {},
  ).flatMap((field) =>
    field.args.flatMap((own) =>
      texts(own.type, own.name).map(([argument, value]) => {
        const given = field.args.filter((arg) => arg === own || (isNonNullType(arg.type) && arg.defaultValue === undefined));
        const variables = Object.fromEntries(given.map((arg) => [arg.name, arg === own ? value : filler(arg.type)]));
        const declared = given.map((arg) => `$${arg.name}: ${arg.type}`).join(", ");
        const passed = given.map((arg) => `${arg.name}: $${arg.name}`).join(", ");
        const selection = isCompositeType(getNamedType(field.type)) ? "{ __typename }" : "";
        return { operation, argument, variables, query: `${operation}(${declared}) { ${field.name}(${passed}) ${selection} }` };
      }),
    ),
  ),
);

async function overEvents(query: string, variables: Record<string, unknown>): Promise<Answer> {
  for await (const result of createClient({ url: api.url, retryAttempts: 0 }).iterate({ query, variables }))
    return result as unknown as Answer;
  throw new Error("no result");
}

test("NUL is refused in every text that anything takes, by its argument's name, before anything else is looked at", async () => {
  assert.ok(cases.length > 40, `${cases.length} texts`);
  for (const { operation, argument, query, variables } of cases) {
    const { errors } = operation === "subscription" ? await overEvents(query, variables) : await api.ask(query, variables);
    const { code, argument: named } = errors?.[0]?.extensions ?? {};
    assert.deepEqual([errors?.length, code, named], [1, "BAD_USER_INPUT", argument], `${query} ${JSON.stringify(errors)}`);
  }
  assert.deepEqual(api.log, []);
});

test("half of a surrogate pair is refused alike, and a whole one is taken", async () => {
  const register = "mutation($input: RegisterDatasetInput!) { registerDataset(input: $input) { dataset { name } } }";
  for (const [name, texts, argument] of [
    ["half \ud83d", ["a"], "input.name"],
    ["half", ["a", "\ude00 b"], "input.source.texts[1]"],
  ] as const) {
    const { errors } = await api.ask(register, { input: { name, source: { texts } } });
    assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], ["BAD_USER_INPUT", argument]);
  }
  const {
    registerDataset: { dataset },
  } = await api.data(register, { input: { name: "whole \ud83d\ude00", source: { texts: ["a"] } } });
  assert.equal(dataset.name, "whole \u{1f600}");
});

test("NUL is refused in literals, of fields within too", async () => {
  for (const [query, argument] of [
    ['{ models(filter: { name: "a\\u0000" }) { nodes { id } } }', "filter.name"],
    ['{ models(after: "\\u0000") { nodes { id } } }', "after"],
  ] as const) {
    const { errors } = await api.ask(query);
    assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], ["BAD_USER_INPUT", argument]);
  }
});
