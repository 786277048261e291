import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Answer, type TestApi, testApi } from "../support/api.ts";
import { freeze } from "../support/frozen-postgres.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false, silenceMs: 1500 });
});
after(() => api.close());

async function health(path: string): Promise<readonly [status: number, body: unknown]> {
  const response = await fetch(api.url.replace("/graphql", path));
  return [response.status, await response.json()];
}

async function overSocket(query: string): Promise<Answer> {
  for await (const answer of api.socket().iterate({ query })) return answer as Answer;
  throw new Error("no answer");
}

const register = 'mutation { registerDataset(input: { name: "frost", source: { texts: ["one"] } }) { dataset { id } } }';
const code = ({ errors }: Answer) => errors?.[0]?.extensions["code"];

test("while the database hangs the server lives, is not ready, and says so of every request", { timeout: 60_000 }, async () => {
  assert.deepEqual(await health("/readyz"), [200, { ready: true }]);
  // Who may come in is known for a while.
  await overSocket("{ models { nodes { id } } }");
  const thaw = await freeze(api.services);
  try {
    assert.deepEqual(await health("/livez"), [200, { live: true }]);
    for (const path of ["/readyz", "/healthz"])
      assert.deepEqual(await health(path), [503, { ready: false, reason: "DATABASE_UNAVAILABLE" }]);
    for (const answer of await Promise.all([
      api.ask("{ models { nodes { id } } }"),
      overSocket("{ models { nodes { id } } }"),
      // In the middle of a transaction, or before it could begin.
      api.ask(register),
      // More than there are connections.
      ...Array.from({ length: 20 }, () => api.ask("{ pruningRuns { nodes { id } } }")),
    ]))
      assert.equal(code(answer), "DATABASE_UNAVAILABLE");
  } finally {
    thaw();
  }
  await until("the server is ready again", async () => (await health("/readyz"))[0] === 200);
  // What is stored now is stored: no connection has kept a transaction that was given up.
  const {
    registerDataset: { dataset },
  } = await api.data(register);
  assert.deepEqual(await api.services.store.prisma.dataset.count({ where: { id: dataset.id } }), 1);
  const open = await api.services.store.prisma.$queryRaw<unknown[]>`SELECT FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'`;
  assert.deepEqual(open, []);
});
