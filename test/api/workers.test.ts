import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { after, before, test } from "node:test";
import { pino } from "pino";
import { startWorker } from "../../src/jobs/worker.ts";
import { keepWorker, removeSilentWorkers, updateWorker } from "../../src/store/workers.ts";
import { version } from "../../src/version.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false });
});
after(() => api.close());

const fields = "id host processId providers computesOn concurrency version startedAt runs { id kind }";
const workers = async () => (await api.data(`{ workers { ${fields} } }`)).workers;
const start = "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";

test("a worker is listed while it lives, with what it does; those who follow changes are told", async () => {
  assert.deepEqual(await workers(), []);
  const told: { workers: { id: string; runs: { id: string }[] }[]; deletedIds: string[] }[] = [];
  const over = new AbortController();
  const following = (async () => {
    for await (const { data } of api.socket().iterate<{ changes: (typeof told)[number] }>({
      query: "subscription { changes { workers { id runs { id } } deletedIds } }",
    })) {
      if (data) told.push(data.changes);
      if (over.signal.aborted || told.some(({ deletedIds }) => deletedIds.length > 0)) return;
    }
  })();
  await until("it is followed", async () => told.length > 0);
  const { store, queue, dataDirectory, modelRoot, hub } = api.services;
  const services = { store, dataDirectory, modelRoot, hub, logger: pino({ level: "silent" }) };
  const worker = await startWorker(queue, services, { providers: ["CPU"], concurrency: 2 });
  try {
    const [{ id, startedAt, ...listed }] = await workers();
    const about = { host: hostname(), processId: process.pid, version, concurrency: 2, runs: [] };
    assert.deepEqual(listed, { ...about, providers: ["CPU"], computesOn: [] });
    assert.ok(Math.abs(Date.parse(startedAt) - Date.now()) < 60_000);
    await worker.computesOn(["CPU"]);
    assert.deepEqual((await workers())[0].computesOn, ["CPU"]);
    const { registerModel } = await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }');
    const options = { executionProvider: "CPU", samples: 64, targetRatio: 0.5 };
    const input = { subject: { modelId: registerModel.model.id }, dataset: { name: "literature-train" }, options };
    const runId = (await api.data(start, { input })).startPruning.run.id;
    await until("the worker does it", async () => (await workers())[0].runs[0]?.id === runId);
    // Before it is over: who follows is told how things are, not all that they were.
    await until("they were told", async () => told.some(({ workers }) => workers.some(({ runs }) => runs[0]?.id === runId)));
    await api.data("mutation($id: ID!) { cancelRun(input: { id: $id }) { run { id } } }", { id: runId });
    await until("the worker does nothing", async () => (await workers())[0].runs.length === 0);
    const { node } = await api.data("query($id: ID!) { node(id: $id) { __typename ... on Worker { processId } } }", { id });
    assert.deepEqual(node, { __typename: "Worker", processId: process.pid });
    assert.ok(told.flatMap((change) => change.workers).every((each) => each.id === id));
    await worker.stop();
    assert.deepEqual(await workers(), []);
    await following;
    assert.deepEqual(told.at(-1)?.deletedIds, [id]);
  } finally {
    over.abort();
    await worker.stop();
  }
});

test("a worker that says nothing any more is forgotten, and one that comes back is there again", async () => {
  const { prisma } = api.services.store;
  const about = { host: "elsewhere", processId: 1, providers: ["CPU"], computesOn: [], concurrency: 1, version };
  const worker = { ...about, id: randomUUID(), startedAt: new Date() };
  await keepWorker(prisma, worker, []);
  await prisma.$executeRaw`UPDATE "Worker" SET "seenAt" = now() - interval '1 minute' WHERE id = ${worker.id}::uuid`;
  await removeSilentWorkers(prisma);
  assert.deepEqual(await workers(), []);
  await updateWorker(prisma, worker.id, { runIds: [], computesOn: [] });
  assert.deepEqual(await workers(), []);
  for (let beat = 0; beat < 2; beat++) await keepWorker(prisma, worker, []);
  assert.deepEqual(
    (await workers()).map(({ id }: { id: string }) => id),
    [worker.id],
  );
});

test("the queue is listed in its order: by priority, then by age, from both ends", async () => {
  const { models } = await api.data("{ models(first: 1) { nodes { id } } }");
  const ids: string[] = [];
  for (const priority of [0, 5, -3, 5, 0]) {
    const input = { subject: { modelId: models.nodes[0].id }, dataset: { name: "literature-train" }, priority };
    ids.push((await api.data(start, { input })).startPruning.run.id);
  }
  const expected = [1, 3, 0, 4, 2].map((i) => ids[i]);
  const query = (args: string) =>
    `{ runs(${args}, filter: { statuses: [QUEUED] }, orderBy: QUEUE) { nodes { id queuePosition } pageInfo { endCursor startCursor hasNextPage } } }`;
  const { runs } = await api.data(query("first: 10"));
  assert.deepEqual(
    runs.nodes,
    expected.map((id, i) => ({ id, queuePosition: i + 1 })),
  );
  const forward: string[] = [];
  for (let after = ""; ; ) {
    const page = (await api.data(query(`first: 2${after}`))).runs;
    forward.push(...page.nodes.map(({ id }: { id: string }) => id));
    if (!page.pageInfo.hasNextPage) break;
    after = `, after: "${page.pageInfo.endCursor}"`;
  }
  assert.deepEqual(forward, expected);
  const last = (await api.data(query("last: 2"))).runs;
  const before = (await api.data(query(`last: 2, before: "${last.pageInfo.startCursor}"`))).runs;
  assert.deepEqual(
    [...before.nodes, ...last.nodes].map(({ id }) => id),
    expected.slice(1),
  );
});
