import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { toldArguments } from "../../src/api/audit-trail.ts";
import { type AccessRole, createToken } from "../../src/store/tokens.ts";
import { type TestApi, testApi } from "../support/api.ts";

const trail = `query ($first: Int = 100, $after: String, $filter: AuditFilter = {}) {
  auditTrail(first: $first, after: $after, filter: $filter) {
    nodes { id startedAt tokenId tokenName address mutation arguments outcome resultIds durationMs }
    pageInfo { hasNextPage endCursor }
  }
}`;
interface Page {
  readonly nodes: readonly { readonly arguments: string }[];
  readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string | null };
}

const nobody = "00000000-0000-7000-8000-000000000000";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false, logLevel: "info" });
});
after(() => api.close());

const make = async (name: string, role: AccessRole) => createToken(api.services.store.prisma, { name, role, expiresAt: null });

test("every mutation is kept with who, when, what and what came of it: refused ones too, over HTTP and WebSocket", async () => {
  const begun = Date.now();
  const register = "mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id } } }";
  const model = (await api.data(register, { input: { path: "ahab" } })).registerModel.model;
  for (const asked of [`deleteModel(input: { id: "${nobody}" }) { deletedId }`, 'cancelRun(input: { id: "x" }) { run { id } }'])
    await api.ask(`mutation { ${asked} }`);
  const [admin, reader] = [await make("ann", "ADMIN"), await make("rob", "READ")];
  const refused = await api.ask(`mutation { deleteModel(input: { id: "${model.id}" }) { deletedId } }`, {}, reader.secret);
  assert.equal(refused.errors?.[0]?.extensions["code"], "FORBIDDEN");
  const asked = { query: `mutation { deleteModel(input: { id: "${model.id}" }) { deletedId } }` };
  await new Promise<void>((resolve, reject) => {
    api.socket(admin.secret).subscribe(asked, { next: () => {}, error: reject, complete: resolve });
  });
  // What only reads leaves no trace.
  await api.ask("{ pruningMethods { name } }", {}, admin.secret);

  // biome-ignore lint/suspicious/noExplicitAny: answers as they come
  const entries: any[] = (await api.ask(trail, {}, admin.secret)).data.auditTrail.nodes.toReversed();
  const told = entries.map(({ tokenName, tokenId, mutation, arguments: args, outcome, resultIds }) => [
    tokenName,
    tokenId,
    mutation,
    JSON.parse(args),
    outcome,
    resultIds,
  ]);
  assert.deepEqual(told, [
    [null, null, "registerModel", { input: { path: "ahab" } }, "OK", [model.id]],
    [null, null, "deleteModel", { input: { id: nobody, keepDescendants: false } }, "MODEL_NOT_FOUND", []],
    [null, null, "cancelRun", { input: { id: "x" } }, "RUN_NOT_FOUND", []],
    ["rob", reader.token.id, "deleteModel", { input: { id: model.id, keepDescendants: false } }, "FORBIDDEN", []],
    ["ann", admin.token.id, "deleteModel", { input: { id: model.id, keepDescendants: false } }, "OK", [model.id]],
  ]);
  for (const { startedAt, durationMs, address } of entries) {
    assert.ok(Date.parse(startedAt) >= begun && Date.parse(startedAt) <= Date.now());
    assert.ok(durationMs >= 0);
    assert.match(address, /127\.0\.0\.1$/);
  }
  const logged = api.log.map((line) => JSON.parse(line).audit).filter((audit) => audit !== undefined);
  assert.deepEqual(
    logged.map(({ id, outcome }) => [id, outcome]),
    entries.map(({ id, outcome }) => [id, outcome]),
  );
});

test("administrators page through it, and see it by token and by mutation; others do not see it", async () => {
  const [admin, pruner] = [await make("pages", "ADMIN"), await make("pruner", "PRUNE")];
  for (let i = 0; i < 5; i++) await api.ask(`mutation { cancelRun(input: { id: "${i}" }) { run { id } } }`, {}, admin.secret);
  await api.ask(`mutation { deleteModel(input: { id: "${nobody}" }) { deletedId } }`, {}, pruner.secret);
  const seen: string[] = [];
  for (let after: string | null = null; ; ) {
    const filter = { tokenId: admin.token.id, mutation: "cancelRun" };
    const { nodes, pageInfo }: Page = (await api.ask(trail, { first: 2, after, filter }, admin.secret)).data.auditTrail;
    seen.push(...nodes.map((node) => JSON.parse(node.arguments).input.id));
    if (!pageInfo.hasNextPage) break;
    after = pageInfo.endCursor;
  }
  assert.deepEqual(seen, ["4", "3", "2", "1", "0"]);
  assert.deepEqual((await api.ask(trail, { filter: { tokenId: "x" } }, admin.secret)).data.auditTrail, {
    nodes: [],
    pageInfo: { hasNextPage: false, endCursor: null },
  });
  assert.equal((await api.ask(trail, {}, pruner.secret)).errors?.[0]?.extensions["code"], "FORBIDDEN");
});

test("administrators make, list and withdraw tokens; the token itself is told once, to whoever made it", async () => {
  const admin = await make("administrator", "ADMIN");
  const create =
    "mutation ($input: CreateTokenInput!) { createToken(input: $input) { secret token { id name role expiresAt revokedAt } } }";
  const expiresAt = "2999-01-01T00:00:00.000Z";
  const { data } = await api.ask(create, { input: { name: " ci ", role: "GENERATE", expiresAt } }, admin.secret);
  const { secret, token } = data.createToken;
  assert.deepEqual(token, { id: token.id, name: "ci", role: "GENERATE", expiresAt, revokedAt: null });
  assert.match(secret, /^esp_[\w-]{43}$/);
  assert.equal((await api.ask("{ pruningMethods { name } }", {}, secret)).errors, undefined);
  assert.equal((await api.ask(create, { input: { name: "x".repeat(200), role: "READ" } }, admin.secret)).errors, undefined);
  for (const [input, argument] of [
    [{ name: " ", role: "READ" }, "input.name"],
    [{ name: "x".repeat(201), role: "READ" }, "input.name"],
    [{ name: "x\u001b[2J", role: "READ" }, "input.name"],
    [{ name: "x", role: "READ", expiresAt: "2020-01-01T00:00:00Z" }, "input.expiresAt"],
  ] as const) {
    const { errors } = await api.ask(create, { input }, admin.secret);
    assert.deepEqual(errors?.[0]?.extensions, { code: "INVALID_TOKEN", argument });
  }
  const list = async () => (await api.ask("{ tokens { nodes { id name role revokedAt } } }", {}, admin.secret)).data.tokens.nodes;
  assert.deepEqual((await list())[1], { id: token.id, name: "ci", role: "GENERATE", revokedAt: null });
  const revoke = `mutation { revokeToken(input: { id: "${token.id}" }) { token { revokedAt } } }`;
  const revoked = (await api.ask(revoke, {}, admin.secret)).data.revokeToken.token.revokedAt;
  // Here at once, whatever was known of it.
  assert.equal((await api.ask("{ pruningMethods { name } }", {}, secret)).errors?.[0]?.extensions["code"], "UNAUTHENTICATED");
  assert.deepEqual((await list())[1].revokedAt, revoked);
  assert.equal((await api.ask(revoke, {}, admin.secret)).data.revokeToken.token.revokedAt, revoked);
  const absent = await api.ask(`mutation { revokeToken(input: { id: "${nobody}" }) { token { id } } }`, {}, admin.secret);
  assert.deepEqual(absent.errors?.[0]?.extensions, { code: "TOKEN_NOT_FOUND", id: nobody, argument: "input.id" });
  const kept = JSON.stringify((await api.ask(trail, {}, admin.secret)).data);
  assert.match(kept, new RegExp(token.id));
  assert.doesNotMatch(kept + api.log.join(""), new RegExp(secret));
});

test("clients with tokens have their own keys of repeated requests", async () => {
  const [one, other] = [await make("one", "PRUNE"), await make("other", "PRUNE")];
  const register = "mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id } } }";
  const ask = (name: string, token: string) => api.ask(register, { input: { path: "ahab", name, idempotencyKey: "mine" } }, token);
  assert.equal((await ask("a", one.secret)).errors, undefined);
  assert.equal((await ask("b", one.secret)).errors?.[0]?.extensions["code"], "IDEMPOTENCY_KEY_REUSED");
  assert.equal((await ask("b", other.secret)).errors, undefined);
});

test("what is kept of arguments has no secrets and a bounded length", () => {
  const secret = `esp_${"A".repeat(43)}`;
  const told = JSON.parse(
    toldArguments({
      input: {
        prompt: `${"x".repeat(190)}${secret}`,
        maxTokens: 5,
        accessToken: "abc",
        password: "p",
        note: `see ${secret}`,
        ids: Array(12).fill("i"),
        none: null,
      },
    }),
  ).input;
  assert.equal(told.prompt, `${"x".repeat(190)}esp_…… (237 characters)`);
  assert.deepEqual([told.maxTokens, told.accessToken, told.password, told.note, told.none], [5, "(secret)", "(secret)", "see esp_…", null]);
  assert.deepEqual(told.ids.slice(-2), ["i", "… (12 items)"]);
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`field${i}`, "y".repeat(300)]));
  assert.ok(toldArguments(many).length < 4100);
});
