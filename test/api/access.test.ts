import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, beforeEach, test } from "node:test";
import { WebSocket } from "ws";
import { startServer } from "../../src/api/server.ts";
import { createToken, revokeToken } from "../../src/store/tokens.ts";
import { bearing, type TestApi, testApi } from "../support/api.ts";
import { rawRequest } from "../support/raw-http.ts";
import { newRun } from "../support/records.ts";
import { until } from "../support/wait.ts";

/** So often tokens are looked up again here. */
const recheckMs = 100;

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false, logLevel: "trace", server: { recheckMs } });
});
after(() => api.close());

const prisma = () => api.services.store.prisma;
const make = (role: "READ" | "ADMIN" = "READ", expiresAt: Date | null = null) =>
  createToken(prisma(), { name: `a ${role}`, role, expiresAt });
const query = "{ pruningMethods { name } }";
const codeOf = async (token?: string) => (await api.ask(query, {}, token)).errors?.[0]?.extensions["code"];

beforeEach(() => prisma().accessToken.deleteMany());

/** Connects as graphql-ws does, and tells how it goes. */
async function connect(payload?: Record<string, unknown>) {
  const socket = new WebSocket(api.url.replace("http", "ws"), "graphql-transport-ws");
  const closed = once(socket, "close").then(([code, reason]) => ({ code: code as number, reason: String(reason) }));
  await once(socket, "open");
  const messages: Record<string, unknown>[] = [];
  socket.on("message", (data) => messages.push(JSON.parse(String(data))));
  const send = (message: object) => socket.send(JSON.stringify(message));
  send({ type: "connection_init", payload });
  return { socket, closed, messages, send };
}
const forbidden = { code: 4403, reason: '{"code":"UNAUTHENTICATED"}' };

test("without a token everybody may come in; with the first one nobody without", async () => {
  assert.equal(await codeOf(), undefined);
  const idle = await connect();
  const { secret } = await make();
  await until("the server asks for a token", async () => (await codeOf()) === "UNAUTHENTICATED");
  assert.deepEqual(await idle.closed, forbidden);
  assert.equal(await codeOf(secret), undefined);
  assert.deepEqual(await (await connect()).closed, forbidden);
  // Withdrawing the last one opens nothing.
  for (const { id } of await prisma().accessToken.findMany()) await revokeToken(prisma(), id);
  assert.equal(await codeOf(), "UNAUTHENTICATED");
});

test("a request without a right token is refused before its body is read, in GraphQL's form; pages and health are for everybody", async () => {
  const { secret } = await make();
  for (const [authorization, words] of [
    [undefined, /asks for a token/],
    ["Basic dXNlcjpwYXNz", /asks for a token/],
    ["Bearer", /asks for a token/],
    ["Bearer nonsense", /not a token of this server/],
    [`Bearer ${secret.slice(0, -2)}AA`, /not a token of this server/],
    [`Bearer ${secret}x`, /not a token of this server/],
  ] as const) {
    await until("the server asks for a token", async () => (await codeOf()) === "UNAUTHENTICATED");
    const headers = { "content-type": "application/json", "content-length": "4000000", ...(authorization ? { authorization } : {}) };
    const { status, code, body, headers: answered } = await rawRequest(api.url, { method: "POST", headers, body: "{" });
    assert.deepEqual([status, code, answered["www-authenticate"]], [401, "UNAUTHENTICATED", "Bearer"], authorization);
    assert.match(body, words);
  }
  assert.equal(
    (
      await rawRequest(api.url, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `bearer  ${secret}` },
        body: JSON.stringify({ query }),
      })
    ).status,
    200,
  );
  const base = api.url.replace("/graphql", "");
  for (const path of ["/graphql", "/graphiql/start.js", "/healthz"])
    assert.equal((await rawRequest(base + path, { headers: { accept: "text/html" } })).status, 200, path);
});

test("a token that was withdrawn or has expired lets nobody in, and ends open sockets within a bounded time", async () => {
  const { token, secret } = await make();
  const { id: runId } = await newRun(api.services.store);
  for (const name of ["authorization", "Authorization"]) {
    const { messages, socket } = await connect({ [name]: `Bearer ${secret}` });
    await until("the connection is there", () => messages[0]?.["type"] === "connection_ack");
    socket.terminate();
  }
  const following = await connect(bearing(secret));
  await until("the connection is there", () => following.messages.length === 1);
  following.send({ id: "1", type: "subscribe", payload: { query: `subscription { runProgress(runId: "${runId}") { sequence } }` } });
  following.send({ type: "ping" });
  await until("the subscription was taken", () => following.messages.length === 2);
  const withdrawn = Date.now();
  await revokeToken(prisma(), token.id);
  assert.deepEqual(await following.closed, forbidden);
  // Generous, for a busy machine: a connection that nobody looks at again stays for good.
  assert.ok(Date.now() - withdrawn < 300 * recheckMs);
  assert.match(JSON.stringify((await api.ask(query, {}, secret)).errors), /was withdrawn/);
  assert.deepEqual(await (await connect(bearing(secret))).closed, forbidden);

  const short = await make("READ", new Date(Date.now() + 2000));
  const waiting = await connect(bearing(short.secret));
  assert.equal(await codeOf(short.secret), undefined);
  assert.deepEqual(await waiting.closed, forbidden);
  assert.ok(Date.now() >= (short.token.expiresAt?.getTime() ?? 0));
  assert.match(JSON.stringify((await api.ask(query, {}, short.secret)).errors), /has expired/);
});

test("an event stream, and a text that is being written, end with the token that they were asked for with", async () => {
  const { token, secret } = await make();
  const { id: runId } = await newRun(api.services.store);
  const answer = await fetch(api.url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream", ...bearing(secret) },
    body: JSON.stringify({ query: `subscription { runProgress(runId: "${runId}") { sequence } }` }),
  });
  assert.equal(answer.status, 200);
  await revokeToken(prisma(), token.id);
  // Cut off, and not said to be complete.
  await assert.rejects(answer.text());

  const writer = await createToken(prisma(), { name: "writer", role: "PRUNE", expiresAt: null });
  const register = "mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id } } }";
  const { id: modelId } = (await api.ask(register, { input: { path: "ahab" } }, writer.secret)).data.registerModel.model;
  const generate = "mutation ($input: GenerateInput!) { generate(input: $input) { text } }";
  const input = { modelId, prompt: { text: "The whale" }, maxTokens: 4, timeLimitMs: 600_000 };
  assert.equal((await api.ask(generate, { input }, writer.secret)).errors, undefined);
  // More than is written before the token is looked up again.
  const long = { ...input, n: 8, maxTokens: 480 };
  const writings = Array.from({ length: 4 }, () => api.ask(generate, { input: long }, writer.secret));
  await until("the writing has begun", () => prisma().auditEntry.findFirst({ where: { mutation: "generate", outcome: null } }));
  await revokeToken(prisma(), writer.token.id);
  const codes = (await Promise.all(writings)).map(({ errors }) => errors?.[0]?.extensions["code"]);
  assert.ok(codes.includes("UNAUTHENTICATED"), String(codes));
});

test("tokens are in neither the log nor the database", async () => {
  const { secret } = await make("ADMIN");
  await api.ask(query, {}, secret);
  await api.ask("{ model(id: 1) { id } nonsense }", {}, secret);
  await api.ask(`mutation { deleteModel(input: { id: "${secret}" }) { deletedId } }`, {}, secret);
  await rawRequest(api.url, { method: "POST", headers: { ...bearing(secret), "content-type": "application/json" }, body: "{" });
  const socket = await connect(bearing(secret));
  await until("the connection is there", () => socket.messages.length > 0);
  socket.send({ id: "1", type: "subscribe", payload: { query: `mutation { deleteModel(input: { id: "${secret}" }) { deletedId } }` } });
  await until("an answer has come", () => socket.messages.length > 1);
  socket.socket.terminate();
  assert.doesNotMatch(api.log.join("\n"), new RegExp(secret));
  const [{ dump }] = (await prisma().$queryRaw`SELECT string_agg(t::text, ' ') AS dump FROM "AccessToken" t`) as [{ dump: string }];
  assert.doesNotMatch(dump, new RegExp(secret));
});

test("a server that others reach does not start without a token, and says what to set", async () => {
  const { services } = api;
  const log = { warn: () => {}, child: () => log } as never;
  await assert.rejects(startServer(services, "0.0.0.0", 0, log), ({ code, message }: { code: string; message: string }) => {
    assert.equal(code, "NO_TOKEN");
    assert.match(message, /npx espalier token create/);
    assert.match(message, /ESPALIER_OPEN=true/);
    return true;
  });
});
