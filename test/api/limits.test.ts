import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { after, before, test } from "node:test";
import { getIntrospectionQuery } from "graphql";
import { WebSocket } from "ws";
import { type Answer, type ApiError, type TestApi, testApi } from "../support/api.ts";
import { processorMs } from "../support/processor-time.ts";
import { newRun } from "../support/records.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ server: { stalledMs: 600_000 } });
  // The first request of all compiles what it goes through.
  await overSocket("{ pruningMethods { name } }");
});
after(() => api.close());

/** The errors of an operation over WebSocket. */
async function overSocket(query: string, variables = {}): Promise<readonly ApiError[]> {
  const socket = api.socket();
  try {
    for await (const { errors } of socket.iterate({ query, variables })) return (errors ?? []) as never;
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
    const taken = await processorMs(async () => {
      const headers = { "content-type": "application/json" };
      assert.equal((await fetch(api.url, { method: "POST", headers, body: JSON.stringify({ query }) })).status, 400);
      for (const errors of [(await api.ask(query)).errors ?? [], await overSocket(query)])
        assert.deepEqual(
          errors.map((e) => [e.extensions?.["code"], e.extensions?.["limit"]]),
          [["REQUEST_TOO_LARGE", limit]],
        );
    });
    assert.ok(taken < 2000, `${taken} ms`);
  });

test("a document of too many tokens is not parsed", async () => {
  const query = `{ ${"pruningMethods { name } ".repeat(501)} }`;
  for (const errors of [(await api.ask(query)).errors ?? [], await overSocket(query)]) {
    assert.equal(errors[0]?.extensions?.["code"], "GRAPHQL_PARSE_FAILED");
    assert.equal(errors.length, 1);
  }
});

const generate = "mutation($i: GenerateInput!) { generate(input: $i) { text } }";
const compare = "query($i: [ID!]) { comparison(modelId: 1, runIds: $i) { rows { model { id } } } }";
const long = "x".repeat(3_500_000);
const prompt = { text: "The whale" };
const unknownFields = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`f${i}`, 0]));

/** Of each what the first error says of the argument at fault. */
const wrongVariables: Record<string, readonly [query: string, variables: Record<string, unknown>, code: string, argument?: string]> = {
  "unknown fields beside a long text": [
    generate,
    { i: { modelId: "1", prompt: { text: long }, ...unknownFields(1500) } },
    "BAD_USER_INPUT",
    "i",
  ],
  "a long text for a number": [generate, { i: { modelId: "1", prompt, maxTokens: long } }, "BAD_USER_INPUT", "i.maxTokens"],
  "a long text for one of a few names": [
    generate,
    { i: { modelId: "1", prompt, executionProvider: long } },
    "BAD_USER_INPUT",
    "i.executionProvider",
  ],
  "a long name of a field": [generate, { i: { modelId: "1", prompt, [long]: 1 } }, "BAD_USER_INPUT", "i"],
  "a list of nothing": [compare, { i: Array(150_000).fill(null) }, "BAD_USER_INPUT", "i[0]"],
  "lists within lists": [compare, { i: JSON.parse(`${"[".repeat(2000)}${"]".repeat(2000)}`) }, "BAD_USER_INPUT", "i[0]"],
  "a long cursor": ["query($i: String) { models(after: $i) { nodes { id } } }", { i: long }, "BAD_CURSOR"],
  "a long name of an operation": [
    "query a { pruningMethods { name } } query b { pruningMethods { name } }",
    { long },
    "OPERATION_RESOLUTION_FAILURE",
  ],
};

for (const [name, [query, variables, code, argument]] of Object.entries(wrongVariables))
  test(`${name}: refused in few words, over HTTP and over WebSocket`, async () => {
    const taken = await processorMs(async () => {
      for (const errors of [(await api.ask(query, variables)).errors ?? [], await overSocket(query, variables)]) {
        assert.ok(errors.length >= 1 && errors.length <= 5, `${errors.length} errors`);
        assert.equal(errors[0]?.extensions["code"], code);
        if (argument) assert.equal(errors[0]?.extensions["argument"], argument);
        const told = JSON.stringify(errors);
        assert.ok(told.length < 10_000, `${told.length} characters`);
        assert.doesNotMatch(told, /x{201}/);
      }
    });
    assert.ok(taken < 3000, `${taken} ms`);
  });

test("JSON of more values than a request may have is not parsed, wherever its texts have signs", async () => {
  const signs = ',[{\\"'.repeat(100_000);
  const few = JSON.stringify({ query: "{ pruningMethods { name } }", variables: { signs, more: [signs, "\\"] } });
  const many = JSON.stringify({ query: "{ pruningMethods { name } }", variables: { signs, i: Array(200_001).fill(0) } });
  const headers = { "content-type": "application/json" };
  const post = async (body: string) => (await (await fetch(api.url, { method: "POST", headers, body })).json()) as Answer;
  assert.equal((await post(few)).errors, undefined);
  assert.deepEqual((await post(many)).errors?.[0]?.extensions["limit"], "values");
  const subscribe = JSON.parse(many);
  assert.deepEqual(await closed({ type: "connection_init" }, { type: "subscribe", id: "1", payload: subscribe }), [
    1009,
    '{"code":"REQUEST_TOO_LARGE","limit":"values"}',
  ]);
});

test("long literals and names in a document are not repeated either", async () => {
  const text = "x".repeat(100_000);
  for (const query of [`{ models(first: "${text}") { nodes { id } } }`, `{ ${text} }`, `query($${text}: Int) { pruningMethods { name } }`])
    for (const errors of [(await api.ask(query)).errors ?? [], await overSocket(query)]) {
      assert.equal(errors[0]?.extensions["code"], "GRAPHQL_VALIDATION_FAILED");
      assert.doesNotMatch(JSON.stringify(errors), /x{201}/);
    }
});

test("a document of too many characters is not read", async () => {
  const query = `{ model(id: "${"\\n".repeat(100_000)}") { id } }`;
  for (const errors of [(await api.ask(query)).errors ?? [], await overSocket(query)])
    assert.deepEqual([errors[0]?.extensions["code"], errors[0]?.extensions["limit"]], ["REQUEST_TOO_LARGE", "characters"]);
});

test("what a document multiplies through many fragments is counted", async () => {
  const chain = Array.from({ length: 60 }, (_, i) => `fragment f${i} on Query { ...f${i + 1} }`).join(" ");
  const page = "models(first: 100) { nodes { children(first: 100) { nodes { id name digest } } } }";
  const query = `{ ${"...f0 ".repeat(200)} } ${chain} fragment f60 on Query { ${page} }`;
  for (const errors of [(await api.ask(query)).errors ?? [], await overSocket(query)])
    assert.equal(errors[0]?.extensions["limit"], "complexity");
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

/** How a socket on which some messages are sent is closed. */
async function closed(...messages: readonly object[]): Promise<readonly [code: number, reason: string]> {
  const socket = new WebSocket(api.url.replace("http", "ws"), "graphql-transport-ws");
  await once(socket, "open");
  for (const message of messages) socket.send(JSON.stringify(message));
  const [code, reason] = await once(socket, "close");
  return [code, String(reason)];
}

test("a socket keeps no long ids and no long connection parameters", async () => {
  const payload = { query: "{ pruningMethods { name } }" };
  assert.deepEqual(await closed({ type: "connection_init", payload: { long } }), [4403, "Forbidden"]);
  const ofId = closed({ type: "connection_init" }, { type: "subscribe", id: long, payload });
  assert.deepEqual(await ofId, [4400, "An id has at most 200 characters"]);
});

test("a socket that asks on and takes no answers is not read on", async () => {
  const socket = new WebSocket(api.url.replace("http", "ws"), "graphql-transport-ws");
  await once(socket, "open");
  // One that does not introduce itself in three seconds is closed, which a busy machine may take.
  socket.send(JSON.stringify({ type: "connection_init" }));
  await once(socket, "message");
  const { _socket: stream } = socket as unknown as { _socket: Socket };
  stream.pause();
  const ping = JSON.stringify({ type: "ping", payload: { long } });
  const pings = 20;
  for (let i = 0; i < pings; i++) socket.send(ping);
  // What the server reads it answers: it stops at a megabyte, and the rest stays with the client.
  let same = 0;
  let last = 0;
  await until("nothing moves any more", () => {
    same = socket.bufferedAmount === last ? same + 1 : 0;
    last = socket.bufferedAmount;
    return same === 15;
  });
  assert.ok(last > 10 * long.length, `${last} of ${pings * long.length} are left`);
  const answers: unknown[] = [];
  socket.on("message", () => answers.push(1));
  stream.resume();
  await until("all pings are answered", () => answers.length === pings);
  socket.terminate();
});

test("tools can read the schema", async () => {
  const { __schema } = await api.data(getIntrospectionQuery());
  assert.ok(__schema.types.length > 20);
});

test("a socket carries 20 operations at once and no more", async () => {
  const { id: runId } = await newRun(api.services.store);
  const socket = api.socket();
  const query = `subscription { runProgress(runId: "${runId}") { sequence } }`;
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
