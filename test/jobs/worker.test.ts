import assert from "node:assert/strict";
import { once } from "node:events";
import { rename } from "node:fs/promises";
import { after, before, test } from "node:test";
import { startWorker, type Worker } from "../../src/jobs/worker.ts";

import { createEvaluation, findEvaluation, type NewEvaluation } from "../../src/store/evaluations.ts";
import { ancestors } from "../../src/store/lineage.ts";
import { getModel } from "../../src/store/models.ts";
import { createPruningRun, runIterations } from "../../src/store/pruning-runs.ts";
import { cancelRun, getRun } from "../../src/store/runs.ts";
import { listScores } from "../../src/store/scores.ts";
import { computeProcesses, runningComputeProcesses } from "../support/compute-processes.ts";
import { allEvents, eventOf, type JobBench, jobBench } from "../support/jobs.ts";
import { processorMsOf } from "../support/processor-time.ts";
import { newDataset } from "../support/records.ts";
import { until } from "../support/wait.ts";

let bench: JobBench;
let worker: Worker;
/** Of the model that an undisturbed run makes. */
let undisturbed: string;

before(async () => {
  bench = await jobBench();
  worker = await startWorker(bench.queue, bench);
});
after(async () => {
  await worker.stop();
  await bench.close();
});

async function assertUndisturbedResult(runId: string): Promise<void> {
  const { store } = bench;
  const events = await allEvents(bench, runId);
  const count = (type: string) => events.filter((e) => e.type === type).length;
  assert.deepEqual(
    events.map((e) => e.sequence),
    events.map((_, i) => i + 1),
  );
  assert.deepEqual([count("STARTED"), count("ITERATION"), count("SUCCEEDED"), events.at(-1)?.type], [1, 6, 1, "SUCCEEDED"]);
  assert.deepEqual(
    (await runIterations(store.prisma, runId)).map((i) => i.index),
    [0, 1, 2, 3, 4, 5],
  );
  const run = await getRun(store.prisma, runId);
  assert.equal((await getModel(store.prisma, run.resultModelId ?? "")).digest, undisturbed, "byte for byte the same model");
}

test("a run goes through its iterations to a child in the lineage", async () => {
  const { store, ahab } = bench;
  const { id } = await bench.prune();
  const events = await allEvents(bench, id);
  const run = await getRun(store.prisma, id);
  assert.equal(run.status, "SUCCEEDED", JSON.stringify(run.error));
  assert.equal(run.executionProvider, "CPU");
  const child = await getModel(store.prisma, run.resultModelId ?? "");
  undisturbed = child.digest;
  await assertUndisturbedResult(id);

  assert.ok(child.parameterCount <= 0.6 * ahab.parameterCount);
  assert.equal(run.removedRatio, (ahab.parameterCount - child.parameterCount) / ahab.parameterCount);
  assert.ok(child.sizeBytes < ahab.sizeBytes);
  assert.deepEqual(
    (await ancestors(store.prisma, child.id, 10)).map((a) => a.model.id),
    [ahab.id],
  );
  const iterations = await runIterations(store.prisma, id);
  for (const { index, removed } of iterations) {
    const [{ items } = { items: [] }] = await listScores(store.prisma, [id], { first: 100 }, "SCORE_ASCENDING", { iterations: [index] });
    assert.equal(items.length, 12 - index, "every layer that was left has a score");
    assert.deepEqual(
      removed.map(({ kind, index: i, score }) => ({ kind, index: i, score })),
      items.slice(0, 1).map(({ kind, index: i, score }) => ({ kind, index: i, score })),
      "the lowest goes",
    );
  }
  const scoring = events.filter((e) => e.type === "SCORING").length;
  const tookMs = Number(run.finishedAt) - Number(run.startedAt);
  assert.ok(scoring > 0 && (scoring - 1) * 250 <= tookMs, `${scoring} in ${tookMs} ms: four a second at most`);
});

test("a run whose compute process is killed goes on in a new one, to the same bytes", async () => {
  const { id } = await bench.prune();
  const before = computeProcesses.length;
  await eventOf(bench, id, "ITERATION");
  for (const child of runningComputeProcesses()) child.kill("SIGKILL");
  await assertUndisturbedResult(id);
  assert.equal(computeProcesses.length, before + 2);
  assert.equal((await getRun(bench.store.prisma, id)).attempt, 1, "the worker saw to it itself");
});

test("a run whose compute process crashes again and again fails", async () => {
  const { id } = await bench.prune({ samples: 64 });
  const ended = allEvents(bench, id);
  for (let i = 0; i < 3; i++) {
    const [child] = await until("a compute process", () => (runningComputeProcesses().length > 0 ? runningComputeProcesses() : null));
    const exited = once(child as NonNullable<typeof child>, "exit");
    child?.kill("SIGSEGV");
    await exited;
  }
  await ended;
  const { status, error } = await getRun(bench.store.prisma, id);
  assert.deepEqual([status, error?.code], ["FAILED", "COMPUTE_PROCESS_DIED"]);
});

test("a cancelled run is computed no further than two seconds, and the worker takes the next", async () => {
  const { store } = bench;
  const { id } = await bench.prune({ samples: 256, sequenceLength: 128 });
  const { id: next } = await bench.prune({ targetRatio: 0.05 });
  await eventOf(bench, id, "SCORING");
  const [child] = runningComputeProcesses();
  assert.ok(child);
  const begun = processorMsOf(child.pid as number);
  await cancelRun(store, id);
  let computed = 0;
  await until("its process ends", () => {
    computed = Math.max(computed, processorMsOf(child.pid as number) - begun);
    return child.exitCode !== null || child.signalCode !== null;
  });
  assert.ok(computed < 2000, `${computed} ms`);
  assert.equal((await allEvents(bench, id)).at(-1)?.type, "CANCELLED");
  assert.equal((await allEvents(bench, next)).at(-1)?.type, "SUCCEEDED");
  assert.equal((await getRun(store.prisma, id)).status, "CANCELLED");
});

test("a run cancelled in the queue never starts", async () => {
  const { store } = bench;
  const { id: first } = await bench.prune();
  const { id } = await bench.prune();
  await cancelRun(store, id);
  await allEvents(bench, first);
  const { id: last } = await bench.prune({ targetRatio: 0.05 });
  await allEvents(bench, last);
  assert.deepEqual(
    (await allEvents(bench, id)).map((e) => e.type),
    ["CANCELLED"],
  );
  assert.equal((await getRun(store.prisma, id)).attempt, 0);
});

test("a run that cannot be done fails with the reason", async () => {
  const { store, queue, ahab } = bench;
  const unreachable = await bench.prune({ protectFirst: 11, targetRatio: 0.5 });
  const { options } = unreachable;
  const { id: datasetId } = await newDataset(store);
  const request = { modelId: ahab.id, method: "PIP", options, datasetId };
  const noDataset = await createPruningRun(store, request, queue.addRun);
  for (const [run, code] of [
    [unreachable, "TARGET_UNREACHABLE"],
    [noDataset, "ARTIFACT_MISSING"],
  ] as const) {
    const last = (await allEvents(bench, run.id)).at(-1);
    assert.deepEqual([last?.type, last?.type === "FAILED" && last.payload.code], ["FAILED", code]);
    assert.deepEqual((await getRun(store.prisma, run.id)).error, last?.payload);
  }
});

async function evaluated(request: NewEvaluation) {
  const { store, queue } = bench;
  const { id } = await createEvaluation(store, request, queue.addRun);
  return until("the evaluation ends", async () => {
    const evaluation = await findEvaluation(store.prisma, id);
    return evaluation?.finishedAt ? evaluation : null;
  });
}

test("an evaluation ends with its figures, or with the reason why not", async () => {
  const { ahab, dataDirectory } = bench;
  const settings = {
    sequenceLength: 64,
    stride: 64,
    maxTokens: 512,
    maxItems: null,
    measureSpeed: true,
    executionProvider: "CPU" as const,
  };
  const request = { modelId: ahab.id, dataset: await bench.dataset("literature-heldout"), settings, overlapRatio: 0 };
  const { status, result, error } = await evaluated(request);
  assert.equal(status, "SUCCEEDED", JSON.stringify(error));
  assert.equal(result?.tokenCount, 512);
  assert.ok(result?.perplexity && result.perplexity > 1 && result.perplexity < 200);
  assert.ok(result.nextTokenAccuracy && result.nextTokenAccuracy > 0.1);

  const tooLong = await evaluated({ ...request, settings: { ...settings, sequenceLength: 1024 } });
  assert.deepEqual([tooLong.status, tooLong.error?.code], ["FAILED", "SEQUENCE_TOO_LONG"]);

  // What should not happen is told under an id, without this machine's paths.
  const folder = `${dataDirectory}/models`;
  await rename(folder, `${folder}.away`);
  await rename(`${dataDirectory}/artifacts`, `${dataDirectory}/away`);
  const lost = await evaluated(request);
  await rename(`${dataDirectory}/away`, `${dataDirectory}/artifacts`);
  assert.deepEqual([lost.status, lost.error?.code], ["FAILED", "ARTIFACT_MISSING"]);
  assert.doesNotMatch(lost.error?.message ?? "", /espalier-|\/tmp/);
});

test("a worker that stops in good order gives its run back; the next takes it up where it was", async () => {
  const { id } = await bench.prune();
  await eventOf(bench, id, "ITERATION");
  await worker.stop();
  assert.deepEqual(runningComputeProcesses(), []);
  assert.equal((await getRun(bench.store.prisma, id)).status, "QUEUED");
  worker = await startWorker(bench.queue, bench);
  await assertUndisturbedResult(id);
});
