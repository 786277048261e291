import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { isLoopback, requireAllowedSite } from "../../src/api/cross-site.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { rawRequest, rawUpgrade } from "../support/raw-http.ts";

const page = "https://app.example.org";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false, server: { allowedHosts: ["espalier.example.org"], allowedOrigins: [page] } });
});
after(() => api.close());

const port = () => new URL(api.url).port;
const body = JSON.stringify({ query: "{ pruningMethods { name } }" });
const post = (headers: Record<string, string>) =>
  rawRequest(api.url, { method: "POST", headers: { "content-type": "application/json", ...headers }, body });

test("a page at a name that was led to this machine is refused: over HTTP on every path, and over WebSocket", async () => {
  for (const host of [
    `evil.example:${port()}`,
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1",
    "[::2]",
    "a b",
    "x@localhost",
  ]) {
    const answers = [await post({ host }), await rawRequest(api.url.replace("graphql", "healthz"), { headers: { host } })];
    for (const { status, code, headers } of answers) {
      assert.deepEqual([status, code], [421, "HOST_NOT_ALLOWED"], host);
      assert.match(String(headers["content-type"]), /^application\/json/);
    }
    assert.deepEqual(await rawUpgrade(api.url, { host }), { status: 421, code: "HOST_NOT_ALLOWED" }, host);
    // To the browser such a page is of the same origin.
    assert.equal((await post({ host, origin: `http://${host}` })).code, "HOST_NOT_ALLOWED");
  }
  const page = await rawRequest(api.url, { headers: { host: "evil.example", accept: "text/html" } });
  assert.equal(page.code, "HOST_NOT_ALLOWED");
});

test("the names of the loopback interface and those that are set are answered to, with any port", async () => {
  for (const host of [
    `127.0.0.1:${port()}`,
    "localhost",
    "LOCALHOST:80",
    "[::1]:4000",
    "espalier.example.org",
    "Espalier.Example.org:8443",
  ]) {
    assert.equal((await post({ host })).status, 200, host);
    assert.equal(await rawUpgrade(api.url, { host }), null, host);
  }
});

test("pages of other origins are refused over HTTP and WebSocket alike, and told nothing that they could read", async () => {
  for (const origin of [
    "https://elsewhere.example",
    "null",
    "http://app.example.org",
    `${page}:444`,
    "http://localhost:1",
    `${page}.evil.example`,
  ]) {
    const { status, code, headers } = await post({ origin });
    assert.deepEqual([status, code], [403, "ORIGIN_NOT_ALLOWED"], origin);
    assert.equal(headers["access-control-allow-origin"], undefined);
    assert.deepEqual(await rawUpgrade(api.url, { origin }), { status: 403, code: "ORIGIN_NOT_ALLOWED" }, origin);
    const preflight = await rawRequest(api.url, { method: "OPTIONS", headers: { origin, "access-control-request-method": "POST" } });
    assert.deepEqual([preflight.status, preflight.headers["access-control-allow-origin"]], [403, undefined]);
  }
});

test("pages of an origin that is set may use it, with a token", async () => {
  const asked = "content-type,authorization";
  const preflight = await rawRequest(api.url, {
    method: "OPTIONS",
    headers: { origin: page, "access-control-request-method": "POST", "access-control-request-headers": asked },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers["access-control-allow-origin"], page);
  assert.equal(preflight.headers["access-control-allow-headers"], asked);
  assert.match(String(preflight.headers["access-control-allow-methods"]), /POST/);
  // Cookies and the like are never asked for.
  assert.equal(preflight.headers["access-control-allow-credentials"], undefined);
  const answer = await post({ origin: page });
  assert.deepEqual([answer.status, answer.headers["access-control-allow-origin"]], [200, page]);
  assert.match(String(answer.headers["vary"]), /origin/);
  assert.equal(await rawUpgrade(api.url, { origin: page }), null);
});

test("behind a proxy that rewrites Host the server's own page works once its origin is set; one that keeps Host needs the host", async () => {
  for (const headers of [
    { origin: page, host: `127.0.0.1:${port()}` },
    { origin: "https://espalier.example.org", host: "espalier.example.org" },
  ]) {
    assert.equal((await post(headers)).status, 200);
    assert.equal(await rawUpgrade(api.url, headers), null);
  }
});

test("bound to all addresses, a server answers at each, but to no more names", () => {
  const rules = { bound: "0.0.0.0", hosts: [], origins: [] };
  for (const host of ["192.168.1.7:4000", "[fe80::1]", "localhost"]) requireAllowedSite({ host }, rules);
  assert.throws(() => requireAllowedSite({ host: "evil.example" }, rules), { code: "HOST_NOT_ALLOWED" });
  assert.throws(() => requireAllowedSite({}, rules), { code: "HOST_NOT_ALLOWED" });
  requireAllowedSite({ host: "gpu-1:4000" }, { ...rules, bound: "gpu-1" });
  assert.deepEqual(["127.0.0.1", "127.8.0.1", "localhost", "::1", "0.0.0.0", "::", "10.0.0.1", "127.example.org"].map(isLoopback), [
    ...[true, true, true, true],
    ...[false, false, false, false],
  ]);
});
