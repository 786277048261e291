import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { getIntrospectionQuery } from "graphql";
import { WebSocket } from "ws";
import { type ApiError, type TestApi, testApi } from "../support/api.ts";
import { newRun } from "../support/records.ts";

let api: TestApi;
before(async () => {
  api = await testApi();
});
after(() => api.close());

/** The errors of an operation over WebSocket. */
async function overSocket(query: string): Promise<readonly { readonly extensions?: Record<string, unknown> }[]> {
  const socket = api.socket();
  try {
    for await (const { errors } of socket.iterate({ query })) return (errors ?? []) as never;
    return [];
  } catch (errors) {
    if (Array.isArray(errors)) return errors;
    throw errors;
  }
}

const nested = (depth: number): string => (depth === 0 ? "{ id }" : `{ parent ${nested(depth - 1)} }`);
/** Fragments that each spread the next twice: 2^n fields in a short document. */
const bomb = (n: number): string =>
  `{ ...f0 } ${Array.from({ length: n }, (_, i) => `fragment f${i} on Query { ${i === n - 1 ? "pruningMethods { name }" : `...f${i + 1} ...f${i + 1}`} }`).join(" ")}`;

const tooLarge: Record<string, readonly [query: string, limit: string]> = {
  "too deep": [`{ models { nodes ${nested(20)} } }`, "depth"],
  "too deep through a fragment": [`{ models { nodes { ...f } } } fragment f on Model ${nested(20)}`, "depth"],
  "too many aliases": [`{ ${Array.from({ length: 31 }, (_, i) => `a${i}: pruningMethods { name }`).join(" ")} }`, "aliases"],
  "too many fields in fragments of fragments": [bomb(60), "fields"],
  "too large an answer": ["{ models(first: 100) { nodes { children(first: 100) { nodes { id name digest } } } } }", "complexity"],
};

for (const [name, [query, limit]] of Object.entries(tooLarge))
  test(`${name}: refused over HTTP and over WebSocket, and at once`, async () => {
    const begun = performance.now();
    const headers = { "content-type": "application/json" };
    assert.equal((await fetch(api.url, { method: "POST", headers, body: JSON.stringify({ query }) })).status, 400);
    for (const errors of [(await api.ask(query)).errors ?? [], await overSocket(query)])
      assert.deepEqual(
        errors.map((e) => [e.extensions?.["code"], e.extensions?.["limit"]]),
        [["REQUEST_TOO_LARGE", limit]],
      );
    assert.ok(performance.now() - begun < 2000);
  });

test("a document of too many tokens is not parsed", async () => {
  const query = `{ ${"pruningMethods { name } ".repeat(501)} }`;
  for (const errors of [(await api.ask(query)).errors ?? [], await overSocket(query)]) {
    assert.equal(errors[0]?.extensions?.["code"], "GRAPHQL_PARSE_FAILED");
    assert.equal(errors.length, 1);
  }
});

test("fragments in a circle are refused", async () => {
  const query = "{ ...a } fragment a on Query { ...b } fragment b on Query { ...a }";
  assert.equal((await api.ask(query)).errors?.[0]?.extensions["code"], "GRAPHQL_VALIDATION_FAILED");
});

test("a body of more than 4 MiB is refused unread", async () => {
  const response = await fetch(api.url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: "{ pruningMethods { name } }", variables: { x: "a".repeat(5 * 1024 * 1024) } }),
  });
  assert.equal(response.status, 413);
});

test("tools can read the schema", async () => {
  const { __schema } = await api.data(getIntrospectionQuery());
  assert.ok(__schema.types.length > 20);
});

test("a socket carries 20 operations at once and no more", async () => {
  const { id: runId } = await newRun(api.services.store);
  const socket = api.socket();
  const query = `subscription { pruningProgress(runId: "${runId}") { sequence } }`;
  const refusals: ApiError[][] = [];
  await new Promise<void>((resolve) => {
    const error = (errors: unknown) => {
      refusals.push(errors as ApiError[]);
      resolve();
    };
    for (let i = 0; i < 21; i++) socket.subscribe({ query }, { next: () => {}, complete: () => {}, error });
  });
  assert.deepEqual(
    refusals.map((errors) => errors[0]?.extensions["code"]),
    ["REQUEST_TOO_LARGE"],
  );
});

test("pages of other origins can neither open a socket nor send a mutation", async () => {
  const foreign = new WebSocket(api.url.replace("http", "ws"), "graphql-transport-ws", { origin: "https://elsewhere.example" });
  const [error] = await once(foreign, "error");
  assert.match(String(error), /403/);
  const own = new WebSocket(api.url.replace("http", "ws"), "graphql-transport-ws", { origin: new URL(api.url).origin });
  await once(own, "open");
  own.close();
  const simple = await fetch(api.url, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: '{"query":"{ pruningMethods { name } }"}',
  });
  assert.notEqual(simple.status, 200);
  const preflight = await fetch(api.url, { method: "OPTIONS", headers: { origin: "https://elsewhere.example" } });
  assert.equal(preflight.headers.get("access-control-allow-origin"), null);
});
