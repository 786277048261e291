import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { Queue } from "../../src/jobs/queue.ts";
import { startWorker } from "../../src/jobs/worker.ts";
import { cancelRun, getRun, queuePositions } from "../../src/store/runs.ts";
import { runningComputeProcesses } from "../support/compute-processes.ts";
import { allEvents, eventOf, type JobBench, jobBench } from "../support/jobs.ts";
import { until } from "../support/wait.ts";

let bench: JobBench;
before(async () => {
  bench = await jobBench();
});
after(() => bench.close());
// Jobs of cancelled runs lie in the queues until a worker comes by: no test finds those of another.
beforeEach(async () => void (await bench.store.prisma.$executeRaw`DELETE FROM pgboss.job`));

const statusOf = async (id: string) => (await getRun(bench.store.prisma, id)).status;

test("runs wait by provider and priority, and say at which place", async () => {
  const { store } = bench;
  const first = await bench.prune();
  const cuda = await bench.prune({ executionProvider: "CUDA" });
  const second = await bench.prune();
  const urgent = await bench.prune({}, { priority: 5 });
  const ids = [first, cuda, second, urgent].map(({ id }) => id);
  assert.deepEqual(await queuePositions(store.prisma, ids), [2, 1, 3, 1]);
  await cancelRun(store, first.id);
  assert.deepEqual(await queuePositions(store.prisma, ids), [null, 1, 2, 1]);
  for (const { id } of [cuda, second, urgent]) await cancelRun(store, id);
});

test("a worker takes the most urgent first, and one on the CPU never what asks for CUDA", async () => {
  const cuda = await bench.prune({ targetRatio: 0.05, executionProvider: "CUDA" }, { priority: 100 });
  const low = await bench.prune({ targetRatio: 0.05, executionProvider: "CPU" });
  const high = await bench.prune({ targetRatio: 0.05 }, { priority: 1 });
  const worker = await startWorker(bench.queue, bench, { providers: ["CPU"], concurrency: 1 });
  for (const { id } of [low, high]) await allEvents(bench, id);
  const [a, b] = [await getRun(bench.store.prisma, high.id), await getRun(bench.store.prisma, low.id)];
  assert.deepEqual([a.status, b.status], ["SUCCEEDED", "SUCCEEDED"]);
  assert.ok(Number(a.finishedAt) <= Number(b.startedAt), "one after the other, the urgent one first");
  assert.deepEqual(await queuePositions(bench.store.prisma, [cuda.id]), [1]);
  assert.equal((await getRun(bench.store.prisma, cuda.id)).attempt, 0, "it was never taken up");
  await worker.stop();
  await cancelRun(bench.store, cuda.id);
});

test("a run that began on CUDA goes on where there is CUDA, and waits until then", async () => {
  const { store } = bench;
  const { id } = await bench.prune();
  await store.prisma.run.update({ where: { id }, data: { executionProvider: "CUDA" } });
  const worker = await startWorker(bench.queue, bench, { providers: ["CPU"], concurrency: 1 });
  const waits = () => store.prisma.$queryRaw<unknown[]>`SELECT 1 FROM pgboss.job WHERE name = 'prune-cuda' AND data->>'id' = ${id}`;
  await until("it is moved to the queue of CUDA", async () => (await waits()).length > 0);
  assert.equal(await statusOf(id), "QUEUED");
  await worker.stop();
  await cancelRun(store, id);
});

test("a job that the version before queued, which named its kind in its own words, is done", async () => {
  const { prisma } = bench.store;
  const { id } = await bench.prune({ targetRatio: 0.05 });
  const { count } = await prisma.$queryRaw<[{ count: number }]>`
    WITH old AS (UPDATE pgboss.job SET data = '{"kind": "prune"}'::jsonb || data WHERE name = 'prune' AND data->>'id' = ${id} RETURNING 1)
    SELECT count(*)::int AS count FROM old`.then(([row]) => row);
  assert.equal(count, 1, "it lies in the queue of old");
  const worker = await startWorker(bench.queue, bench);
  await allEvents(bench, id);
  assert.equal(await statusOf(id), "SUCCEEDED");
  await worker.stop();
});

test("a worker does as many runs at a time as it is told to", async () => {
  const runs = await Promise.all([1, 2, 3].map(() => bench.prune({ samples: 256 })));
  const worker = await startWorker(bench.queue, bench, { providers: ["CPU"], concurrency: 2 });
  await until("two of them score", async () => {
    const scoring = await bench.store.prisma.event.findMany({ where: { type: "SCORING" }, distinct: ["runId"] });
    return scoring.filter(({ runId }) => runs.some(({ id }) => id === runId)).length === 2;
  });
  assert.equal(runningComputeProcesses().length, 2);
  assert.deepEqual((await Promise.all(runs.map(({ id }) => statusOf(id)))).sort(), ["QUEUED", "RUNNING", "RUNNING"]);
  for (const { id } of runs) await cancelRun(bench.store, id);
  for (const { id } of runs) await eventOf(bench, id, "CANCELLED");
  await worker.stop();
});

test("a queue that cannot open leaves nothing running", async () => {
  const { prisma } = bench.store;
  const connections = () =>
    prisma.$queryRaw<unknown[]>`SELECT pid FROM pg_stat_activity WHERE application_name = 'espalier-queue' ORDER BY pid`;
  const before = await connections();
  await prisma.$executeRaw`ALTER FUNCTION pgboss.create_queue RENAME TO create_queue_away`;
  try {
    await assert.rejects(Queue.open(bench.store, bench.logger), /create_queue/);
  } finally {
    await prisma.$executeRaw`ALTER FUNCTION pgboss.create_queue_away RENAME TO create_queue`;
  }
  assert.deepEqual(await connections(), before);
});
