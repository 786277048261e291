import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { after, before, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { takesGzip } from "../../src/api/compress.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { rawRequest } from "../support/raw-http.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false });
});
after(() => api.close());

const json = { "content-type": "application/json" };
const introspection = JSON.stringify({ query: "{ __schema { types { name description fields { name description } } } }" });

test("what is wrong with a request's JSON, type, size or place is told in GraphQL's form, with a status that says so", async () => {
  const base = api.url.replace("/graphql", "");
  for (const [url, method, headers, body, status, code] of [
    [api.url, "POST", json, "{", 400, "BAD_REQUEST"],
    [api.url, "POST", json, "", 400, "BAD_REQUEST"],
    [api.url, "POST", { "content-type": "application/xml" }, "<a/>", 415, "UNSUPPORTED_MEDIA_TYPE"],
    [api.url, "POST", { "content-type": "text/plain" }, "{}", 415, "UNSUPPORTED_MEDIA_TYPE"],
    [api.url, "POST", { ...json, "content-encoding": "gzip" }, introspection, 415, "UNSUPPORTED_MEDIA_TYPE"],
    [api.url, "POST", { ...json, "content-encoding": "identity" }, "{", 400, "BAD_REQUEST"],
    // Refused by what it says of itself, before it is read.
    [api.url, "POST", { ...json, "content-length": "5000000" }, "{", 413, "REQUEST_TOO_LARGE"],
    [`${base}/nowhere`, "GET", {}, undefined, 404, "NOT_FOUND"],
  ] as const) {
    const answer = await rawRequest(url, { method, headers, ...(body === undefined ? {} : { body }) });
    assert.deepEqual([answer.status, answer.code], [status, code], answer.body.slice(0, 200));
    assert.match(String(answer.headers["content-type"]), /^application\/json/);
    const { errors, ...rest } = JSON.parse(answer.body);
    assert.deepEqual(rest, {});
    assert.equal(typeof errors[0].message, "string");
  }
});

test("every answer says that its type is meant and that its address is nobody's business", async () => {
  const events = { accept: "text/event-stream", ...json };
  const subscription = JSON.stringify({ query: 'subscription { runProgress(runId: "x") { sequence } }' });
  for (const [path, options] of [
    ["/graphql", { method: "POST", headers: json, body: introspection }],
    ["/graphql", { method: "POST", headers: events, body: subscription }],
    ["/graphql", { headers: { accept: "text/html" } }],
    ["/graphql", { headers: { host: "evil.example" } }],
    ["/graphiql/graphiql.js", {}],
    ["/livez", {}],
    ["/nowhere", {}],
  ] as const) {
    const { headers } = await rawRequest(new URL(path, api.url).href, options);
    assert.deepEqual([headers["x-content-type-options"], headers["referrer-policy"]], ["nosniff", "no-referrer"], path);
  }
});

/** An answer with its bytes as they came. */
async function bytesOf(
  path: string,
  encoding: string | undefined,
  body?: string,
): Promise<{ headers: IncomingMessage["headers"]; bytes: Buffer }> {
  const headers = { ...(body ? json : {}), ...(encoding === undefined ? {} : { "accept-encoding": encoding }) };
  const asked = request(new URL(path, api.url), { method: body ? "POST" : "GET", headers, agent: false });
  asked.end(body);
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  return { headers: answer.headers, bytes: await buffer(answer) };
}

test("large answers and files are compressed for clients that take it, small ones and event streams never", async () => {
  for (const [path, body] of [
    ["/graphql", introspection],
    ["/graphiql/graphiql.js", undefined],
  ] as const) {
    const plain = await bytesOf(path, undefined, body);
    const packed = await bytesOf(path, "br, gzip;q=0.5", body);
    assert.equal(plain.headers["content-encoding"], undefined);
    assert.equal(packed.headers["content-encoding"], "gzip");
    assert.match(String(packed.headers["vary"]), /accept-encoding/);
    assert.deepEqual(gunzipSync(packed.bytes), plain.bytes);
    assert.ok(packed.bytes.length < plain.bytes.length / 2);
  }
  const small = await bytesOf("/graphql", "gzip", JSON.stringify({ query: "{ __typename }" }));
  assert.equal(small.headers["content-encoding"], undefined);
  const { headers } = await rawRequest(api.url, {
    method: "POST",
    headers: { ...json, accept: "text/event-stream", "accept-encoding": "gzip" },
    body: introspection,
  });
  assert.match(String(headers["content-type"]), /event-stream/);
  assert.equal(headers["content-encoding"], undefined);
});

test("a client's words on encodings are read as they are meant", () => {
  for (const accepted of ["gzip", "GZIP", "deflate, gzip;q=1.0, *;q=0.5", "*", "br;q=1, gzip;q=0.2"])
    assert.equal(takesGzip(accepted), true, accepted);
  for (const accepted of [undefined, "", "identity", "gzip;q=0", "gzip;q=0.000", "*;q=1, gzip;q=0", "*;q=0"])
    assert.equal(takesGzip(accepted), false, accepted);
});

for (const [what, request, status, code] of [
  ["no HTTP", "hello\r\n\r\n", 400, "BAD_REQUEST"],
  ["a length that is none", "POST /graphql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -5\r\n\r\n{}", 400, "BAD_REQUEST"],
  ["headers too large", `GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: ${"x".repeat(200_000)}\r\n\r\n`, 431, "REQUEST_TOO_LARGE"],
  ["an address that is none", "GET /%zz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n", 400, "BAD_REQUEST"],
] as const)
  test(`${what}: refused in GraphQL's form, as all else is`, async () => {
    const socket = connect(Number(new URL(api.url).port), "127.0.0.1");
    socket.write(request);
    const answer = await text(socket);
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `));
    const [error] = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n"))).errors;
    assert.equal(error.extensions.code, code);
    assert.doesNotMatch(answer, /FST_/);
  });
