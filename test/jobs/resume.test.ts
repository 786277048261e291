import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { standsOf } from "../../src/jobs/run-kinds.ts";
import { startWorker, type Worker } from "../../src/jobs/worker.ts";
import type { PruningOptions } from "../../src/pruning/options.ts";
import { sharedIterations } from "../../src/services/shared-iterations.ts";
import { getModel } from "../../src/store/models.ts";
import { type PruningRunRecord, runIterations } from "../../src/store/pruning-runs.ts";
import { cancelRun, getRun, resumeRun } from "../../src/store/runs.ts";
import { listScores } from "../../src/store/scores.ts";
import { allEvents, eventOf, type JobBench, jobBench } from "../support/jobs.ts";

let bench: JobBench;
let worker: Worker;
before(async () => {
  bench = await jobBench();
  worker = await startWorker(bench.queue, bench);
});
after(async () => {
  await worker.stop();
  await bench.close();
});

const resume = (id: string) => resumeRun(bench.store, id, standsOf, bench.queue.addRun);

async function finished(run: PruningRunRecord) {
  const events = await allEvents(bench, run.id);
  const { status, error, resultModelId } = await getRun(bench.store.prisma, run.id);
  assert.equal(status, "SUCCEEDED", JSON.stringify(error));
  return { events, digest: (await getModel(bench.store.prisma, resultModelId ?? "")).digest };
}

/** As `startPruning(from:)` does it. */
async function beginningFrom(run: PruningRunRecord, options: Partial<PruningOptions>) {
  const iterations = sharedIterations(
    run,
    bench.ahab.parameterCount,
    await runIterations(bench.store.prisma, run.id),
    options.targetRatio ?? 0,
  );
  return { iterations, begun: await bench.prune(options, { from: { run, iterations } }) };
}

test("a cancelled run goes on from its stored iterations, to the bytes of one that was never cancelled", async () => {
  const { store } = bench;
  const undisturbed = await finished(await bench.prune());
  const run = await bench.prune();
  await eventOf(bench, run.id, "ITERATION");
  await cancelRun(store, run.id);
  const kept = (await runIterations(store.prisma, run.id)).length;
  assert.ok(kept > 0 && kept < 6, "its iterations are there to read");
  const resumed = await resume(run.id);
  assert.deepEqual([resumed.status, resumed.error, resumed.finishedAt], ["QUEUED", null, null]);
  await assert.rejects(resume(run.id), { code: "RUN_NOT_RESUMABLE", details: { id: run.id, status: "QUEUED" } });
  const { events, digest } = await finished(run);
  assert.equal(digest, undisturbed.digest);
  const told = events.find((e) => e.type === "RESUMED");
  assert.equal(told?.type === "RESUMED" && "iterations" in told.payload && told.payload.iterations, kept);
  assert.deepEqual(
    events.flatMap((e) => (e.type === "ITERATION" ? e.payload.iteration : [])),
    [0, 1, 2, 3, 4, 5],
  );
});

test("a run that succeeded cannot be resumed, and one that failed fails anew where nothing has changed", async () => {
  const { store } = bench;
  const done = await bench.prune({ targetRatio: 0.05 });
  await finished(done);
  await assert.rejects(resume(done.id), { code: "RUN_NOT_RESUMABLE" });
  const failing = await bench.prune({ protectFirst: 10, targetRatio: 0.5 });
  await allEvents(bench, failing.id);
  const { lastSequence } = await getRun(store.prisma, failing.id);
  await resume(failing.id);
  const types = (await allEvents(bench, failing.id)).filter((e) => e.sequence > lastSequence).map((e) => e.type);
  assert.deepEqual([types[0], types.at(-1)], ["RESUMED", "FAILED"]);
  assert.equal((await getRun(store.prisma, failing.id)).error?.code, "TARGET_UNREACHABLE");
});

for (const options of [
  { structureKinds: ["ATTENTION", "MLP"], structuresPerIteration: 2 },
  { structureKinds: ["CHANNEL"], structuresPerIteration: 0.1 },
] as const)
  test(`a run that begins from another, with ${JSON.stringify(options)}, makes the bytes of one from the beginning`, async () => {
    const small = await bench.prune({ ...options, targetRatio: 0.1 });
    const large = await bench.prune({ ...options, targetRatio: 0.25 });
    const [smallDigest, largeDigest] = [(await finished(small)).digest, (await finished(large)).digest];
    for (const [from, targetRatio, digest] of [
      [small, 0.25, largeDigest],
      [large, 0.1, smallDigest],
      [large, 0.25, largeDigest],
    ] as const) {
      const { iterations, begun } = await beginningFrom(await getRun(bench.store.prisma, from.id), { ...options, targetRatio });
      assert.ok(iterations > 0, "there is something to begin with");
      const { events, digest: made } = await finished(begun);
      assert.equal(made, digest, `from ${from.options.targetRatio} to ${targetRatio}`);
      assert.equal((await getRun(bench.store.prisma, begun.id)).fromRunId, from.id);
      assert.equal(events[0]?.type === "RESUMED" && "iterations" in events[0].payload && events[0].payload.iterations, iterations);
      const all = await runIterations(bench.store.prisma, begun.id);
      assert.equal(events.filter((e) => e.type === "ITERATION").length, all.length - iterations, "the others need not be done");
      const scores = async (id: string) =>
        (await listScores(bench.store.prisma, [id], { first: 1000 }))[0]?.items.filter((s) => s.iteration < iterations);
      assert.deepEqual(await scores(begun.id), await scores(from.id));
    }
  });

test("a compute process that runs out of memory is tried once more; then the run has failed, and says of what", async () => {
  const { store } = bench;
  const saved = process.env["NODE_OPTIONS"];
  // Too little for V8: it ends the process with its own words.
  process.env["NODE_OPTIONS"] = `${saved ?? ""} --max-old-space-size=24`;
  try {
    const { id } = await bench.prune();
    await allEvents(bench, id);
    const { status, error } = await getRun(store.prisma, id);
    assert.deepEqual([status, error?.code], ["FAILED", "OUT_OF_MEMORY"]);
    assert.match(error?.message ?? "", /ran out of memory, 2 times in a row .* fewer samples or shorter sequences/);
  } finally {
    if (saved === undefined) delete process.env["NODE_OPTIONS"];
    else process.env["NODE_OPTIONS"] = saved;
  }
});
