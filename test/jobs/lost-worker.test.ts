import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { startWorker } from "../../src/jobs/worker.ts";
import { getModel } from "../../src/store/models.ts";
import { runIterations } from "../../src/store/pruning-runs.ts";
import { getRun } from "../../src/store/runs.ts";
import { allEvents, eventOf, type JobBench, jobBench } from "../support/jobs.ts";
import { until } from "../support/wait.ts";

let bench: JobBench;
before(async () => {
  bench = await jobBench();
});
after(() => bench.close());

test("a run of a worker killed with -9 goes on in another worker, to the same bytes", async () => {
  const { store } = bench;
  const { id } = await bench.prune();
  const doomed = await bench.workerProcess();
  await eventOf(bench, id, "ITERATION");
  const exited = once(doomed, "exit");
  doomed.kill("SIGKILL");
  const killed = performance.now();
  await exited;
  const done = (await runIterations(store.prisma, id)).length;
  assert.ok(done > 0 && done < 6, `killed after ${done} of 6 iterations`);

  await until("the run says that it waits", async () => (await getRun(store.prisma, id)).status === "QUEUED");
  const took = performance.now() - killed;
  // 10 s and a little on an idle machine; without heartbeats a job is lost after minutes.
  assert.ok(took < 60_000, `${took} ms until another worker could have it`);
  const worker = await startWorker(bench.queue, bench);
  await until("another worker takes the run up", async () => (await getRun(store.prisma, id)).attempt === 2);
  const events = await allEvents(bench, id);
  const { id: again } = await bench.prune();
  await allEvents(bench, again);
  await worker.stop();

  const [run, undisturbed] = [await getRun(store.prisma, id), await getRun(store.prisma, again)];
  assert.equal(run.status, "SUCCEEDED", JSON.stringify(run.error));
  assert.deepEqual(
    events.filter((e) => e.type === "ITERATION").map((e) => e.type === "ITERATION" && e.payload.iteration),
    [0, 1, 2, 3, 4, 5],
  );
  const [model, expected] = [run, undisturbed].map((r) => getModel(store.prisma, r.resultModelId ?? ""));
  assert.equal((await model)?.digest, (await expected)?.digest);
});

/** As if the run had been tried in vain before: this is its last chance. */
const lastChance = (id: string) => bench.store.prisma.$executeRaw`UPDATE pgboss.job SET retry_limit = 0 WHERE data->>'id' = ${id}`;

const lost = async (id: string) =>
  ((await bench.store.prisma.$queryRaw`SELECT 1 FROM pgboss.job WHERE name = 'lost' AND data->>'id' = ${id}`) as unknown[]).length > 0;

test("a run that takes one worker after another with it fails in the end, unless it comes further each time", async () => {
  const { store } = bench;
  const stuck = await bench.prune({ samples: 256 });
  const moving = await bench.prune();
  for (const [{ id }, type] of [
    [stuck, "SCORING"],
    [moving, "ITERATION"],
  ] as const) {
    await lastChance(id);
    const doomed = await bench.workerProcess();
    await eventOf(bench, id, type);
    doomed.kill("SIGKILL");
    await until("it is found to be lost", () => lost(id));
  }
  const worker = await startWorker(bench.queue, bench);
  await allEvents(bench, stuck.id);
  await allEvents(bench, moving.id);
  await worker.stop();
  const [first, second] = [await getRun(store.prisma, stuck.id), await getRun(store.prisma, moving.id)];
  assert.deepEqual([first.status, first.error?.code], ["FAILED", "WORKER_LOST"]);
  assert.deepEqual([second.status, second.error], ["SUCCEEDED", null]);
});
