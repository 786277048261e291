import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type PruningRunRecord, recordIteration } from "../../src/store/pruning-runs.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { claimPruningRun, newRun } from "../support/records.ts";

/** A run whose first iteration removed 200,070 channels, and whose second removed one. */
let api: TestApi;
let run: PruningRunRecord;
const many = 200_070;
const removed = Array.from({ length: many }, (_, i) => ({ kind: "CHANNEL" as const, index: 2 * i, score: i / many, parameterCount: 12 }));
before(async () => {
  api = await testApi({ worker: false });
  const { store } = api.services;
  run = (await claimPruningRun(store, (await newRun(store)).id)) as PruningRunRecord;
  const numbers = { parameterCount: 900, removedRatio: 0.1, loss: 3, perturbedLoss: 4, durationMs: 5, estimatedMsLeft: 6 };
  const iteration = { type: "ITERATION" as const, scores: [], ...numbers };
  await recordIteration(store, run, { ...iteration, iteration: 0, removed });
  await recordIteration(store, run, { ...iteration, iteration: 1, removed: [{ kind: "HEAD", index: 1, score: 2, parameterCount: 30 }] });
});
after(() => api.close());

const fields = "removedCount removed { kind index score parameterCount }";

test("an event tells the first of what an iteration removed, and how much that was, however much it was", async () => {
  const [row] = await api.services.store.prisma.$queryRaw<{ bytes: number }[]>`
    SELECT max(length(payload::text))::int AS bytes FROM "Event" WHERE "runId" = ${run.id}::uuid`;
  assert.ok(row && row.bytes < 12_000, `an event of ${row?.bytes} characters`);
  const events: { removedCount: number; removed: unknown[] }[] = [];
  const query = `subscription($id: ID!) { runProgress(runId: $id, after: 0) { ... on PruningIterationCompleted { ${fields} } } }`;
  for await (const { data, errors } of api.socket().iterate<{ runProgress: (typeof events)[0] }>({ query, variables: { id: run.id } })) {
    assert.equal(errors, undefined);
    if (data?.runProgress && "removed" in data.runProgress) events.push(data.runProgress);
    if (events.length === 2) break;
  }
  assert.deepEqual(
    events.map((event) => [event.removedCount, event.removed.length]),
    [
      [many, 100],
      [1, 1],
    ],
  );
  assert.deepEqual(events[0]?.removed, removed.slice(0, 100));
  const { pruningRun } = await api.data(`query($id: ID!) { pruningRun(id: $id) { iterations { ${fields} } } }`, { id: run.id });
  assert.deepEqual(pruningRun.iterations, events);
});

test("pages have all of it, in the order in which it was taken, from either end", async () => {
  const query = `query($id: ID!, $iteration: Int!, $first: Int, $after: String, $last: Int, $before: String) { pruningRun(id: $id) {
    removed(iteration: $iteration, first: $first, after: $after, last: $last, before: $before) {
      totalCount nodes { index score } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
  } }`;
  const page = async (of: object) => (await api.data(query, { id: run.id, iteration: 0, ...of })).pruningRun.removed;
  const indexes = (from: number, to: number) => removed.slice(from, to).map(({ index }) => index);
  const first = await page({ first: 1000 });
  const second = await page({ first: 1000, after: first.pageInfo.endCursor });
  assert.deepEqual(
    [...first.nodes, ...second.nodes].map(({ index }) => index),
    indexes(0, 2000),
  );
  assert.deepEqual([first.totalCount, first.pageInfo.hasNextPage, first.pageInfo.hasPreviousPage], [10_000, true, false]);
  const last = await page({ last: 3 });
  assert.deepEqual(
    last.nodes,
    removed.slice(-3).map(({ index, score }) => ({ index, score })),
  );
  const before = await page({ last: 2, before: last.pageInfo.startCursor });
  assert.deepEqual(
    before.nodes.map(({ index }: { index: number }) => index),
    indexes(many - 5, many - 3),
  );
  assert.equal((await page({ iteration: 1 })).totalCount, 1);
  assert.deepEqual((await page({ iteration: 2 })).nodes, []);
  const { errors } = await api.ask(query, { id: run.id, iteration: 0, first: 1, after: "1; drop" });
  assert.equal(errors?.[0]?.extensions["code"], "BAD_CURSOR");
});

test("what an earlier version stored of an iteration, all of it in its event, is told in the same form", async () => {
  const { prisma } = api.services.store;
  const [event] = await prisma.event.findMany({ where: { runId: run.id, type: "ITERATION" }, orderBy: { sequence: "asc" } });
  const payload = { ...(event?.payload as object), removed: removed.slice(0, 300), removedCount: undefined };
  await prisma.event.update({
    where: { runId_sequence: { runId: run.id, sequence: event?.sequence as number } },
    data: { payload: JSON.parse(JSON.stringify(payload)) },
  });
  const query = `subscription($id: ID!) { runProgress(runId: $id, after: ${(event?.sequence ?? 1) - 1}) { ... on PruningIterationCompleted { ${fields} } } }`;
  for await (const { data } of api
    .socket()
    .iterate<{ runProgress: { removedCount: number; removed: unknown[] } }>({ query, variables: { id: run.id } })) {
    assert.deepEqual([data?.runProgress.removedCount, data?.runProgress.removed.length], [300, 100]);
    return;
  }
});
