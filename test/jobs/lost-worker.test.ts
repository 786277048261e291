import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { startWorker } from "../../src/jobs/worker.ts";
import { getModel } from "../../src/store/models.ts";
import { getRun, runIterations } from "../../src/store/runs.ts";
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
  await exited;
  const done = (await runIterations(store.prisma, id)).length;
  assert.ok(done > 0 && done < 6, `killed after ${done} of 6 iterations`);

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

test("a run that takes one worker after another with it fails in the end", async () => {
  const { store } = bench;
  const { id } = await bench.prune();
  // As if it had been tried in vain before: this is its last chance.
  await store.prisma.$executeRaw`UPDATE pgboss.job SET retry_limit = 0 WHERE data->>'id' = ${id}`;
  const doomed = await bench.workerProcess();
  await eventOf(bench, id, "ITERATION");
  doomed.kill("SIGKILL");
  const worker = await startWorker(bench.queue, bench);
  await allEvents(bench, id);
  await worker.stop();
  const run = await getRun(store.prisma, id);
  assert.deepEqual([run.status, run.error?.code], ["FAILED", "WORKER_LOST"]);
});
