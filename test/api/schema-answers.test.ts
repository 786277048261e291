import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { getIntrospectionQuery } from "graphql";
import { type TestApi, testApi } from "../support/api.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false });
});
after(() => api.close());

test("the schema is worked out once for who asks alike, and is the same", async () => {
  const query = getIntrospectionQuery();
  const first = await api.ask(query);
  for (let i = 0; i < 3; i++) assert.deepEqual(await api.ask(query), first);
  const other = await api.ask(query.replace("{ name }", "{ name kind }"));
  assert.ok(other.data.__schema.queryType.kind);
});

test("of a document with two operations each has its own answer, and refusals stay refusals", async () => {
  const ask = async (operationName: string) => {
    const query = 'query A { __type(name: "Model") { name } } query B { __type(name: "Run") { name } }';
    const headers = { "content-type": "application/json" };
    return (await fetch(api.url, { method: "POST", headers, body: JSON.stringify({ query, operationName }) })).json();
  };
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(await ask("A"), { data: { __type: { name: "Model" } } });
    assert.deepEqual(await ask("B"), { data: { __type: { name: "Run" } } });
    assert.ok((await api.ask("{ __type { name } }")).errors);
  }
});

test("what depends on variables, or on what is stored, is worked out each time", async () => {
  const query = 'query ($all: Boolean!) { __type(name: "RegisterModelInput") { inputFields(includeDeprecated: $all) { name } } }';
  const names = async (all: boolean) => (await api.data(query, { all })).__type.inputFields.map(({ name }: { name: string }) => name);
  assert.ok((await names(true)).includes("path"));
  assert.ok(!(await names(false)).includes("path"));
  const count = async () => (await api.data("{ __typename models(first: 1) { totalCount } }")).models.totalCount;
  assert.equal(await count(), 0);
  await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }');
  assert.equal(await count(), 1);
});
