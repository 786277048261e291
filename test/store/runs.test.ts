import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { IterationRecord } from "../../src/pruning/events.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { eventsAfter } from "../../src/store/events.ts";
import { getModel } from "../../src/store/models.ts";
import {
  createPruningRun,
  type PruningRunRecord,
  pruningStands,
  recordIteration,
  recordPassing,
  recordPruned,
  recordStart,
  runIterations,
} from "../../src/store/pruning-runs.ts";
import { findProducingRuns } from "../../src/store/references.ts";
import { holdsClaim, recordFailure, releaseRun } from "../../src/store/run-progress.ts";
import { cancelRun, getRun, listRuns, queuePositions, resumeRun } from "../../src/store/runs.ts";
import { listScores } from "../../src/store/scores.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { claimPruningRun, inspected, newDataset, newModel, newRun } from "../support/records.ts";

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

const started = { executionProvider: "CPU", parameterCount: 1000, targetParameterCount: 800, candidates: 4 } as const;

const iteration = (index: number): IterationRecord => ({
  type: "ITERATION",
  iteration: index,
  scores: [
    { kind: "LAYER", indexes: [0, 1], scores: [0.1, 0.2] },
    { kind: "MLP", indexes: [0, 1], scores: [0.3, 1 / 3] },
  ],
  removed: [{ kind: "LAYER", index, score: 0.1, parameterCount: 100 }],
  parameterCount: 1000 - 100 * (index + 1),
  removedRatio: 0.1 * (index + 1),
  loss: 3.5,
  perturbedLoss: 4.25,
  durationMs: 10,
  estimatedMsLeft: 20,
});

async function claimed() {
  const claim = await claimPruningRun(database.store, (await newRun(database.store)).id);
  assert.ok(claim);
  return claim;
}

test("a run's life, from claim to child", async () => {
  const { store } = database;
  const claim = await claimed();
  const { id: runId } = claim;
  assert.equal(claim.status, "RUNNING");
  await recordStart(store, claim, started);
  for (const index of [0, 1]) await recordIteration(store, claim, iteration(index));
  await recordPruned(store, claim, inspected("pruned", 800), null, async () => {});

  const ended = await getRun(store.prisma, runId);
  assert.equal(ended.status, "SUCCEEDED");
  assert.equal(ended.executionProvider, "CPU");
  assert.equal(ended.removedRatio, 200 / 1000);
  assert.deepEqual(ended.options, defaultPruningOptions);
  assert.ok(ended.startedAt && ended.finishedAt);
  const child = await getModel(store.prisma, ended.resultModelId ?? "");
  assert.equal(child.parentId, claim.modelId);
  assert.equal(child.name, "base-pip-20");
  assert.equal((await findProducingRuns(store.prisma, [child.id]))[0]?.id, runId);

  const iterations = await runIterations(store.prisma, runId);
  assert.deepEqual(
    iterations.map((i) => [i.index, i.removed, i.parameterCount]),
    [0, 1].map((i) => [i, iteration(i).removed, iteration(i).parameterCount]),
  );
  const [{ items } = { items: [] }] = await listScores(store.prisma, [runId], { first: 100 }, "SCORE_DESCENDING", { iterations: [1] });
  assert.deepEqual(items[0], { iteration: 1, kind: "MLP", index: 1, score: 1 / 3 });
  const { type, scores, ...payload } = iteration(0);
  const events = await eventsAfter(store.prisma, runId, 0, 100);
  assert.deepEqual(
    events.map((e) => e.type),
    ["STARTED", "ITERATION", "ITERATION", "SUCCEEDED"],
  );
  assert.deepEqual(events[0]?.payload, started);
  assert.deepEqual(events[1]?.payload, { ...payload, removedCount: 1 });
  assert.deepEqual(events[3]?.payload, { modelId: child.id, parameterCount: 800, removedRatio: ended.removedRatio });
  assert.equal(await claimPruningRun(store, runId), null, "there is nothing left to do");
});

test("a worker that lost its run to another can write no more", async () => {
  const { store } = database;
  const first = await claimed();
  await recordStart(store, first, started);
  await recordIteration(store, first, iteration(0));
  const second = await claimPruningRun(store, first.id);
  assert.ok(second);
  assert.equal(await holdsClaim(store, first), false);
  assert.equal(await holdsClaim(store, second), true);
  await assert.rejects(recordIteration(store, first, iteration(1)), { code: "RUN_LOST" });
  await assert.rejects(
    recordPruned(store, first, inspected("late", 800), null, async () => {}),
    { code: "RUN_LOST" },
  );
  await recordStart(store, second, started);
  await recordIteration(store, second, iteration(1));
  const events = await eventsAfter(store.prisma, first.id, 0, 100);
  assert.deepEqual(
    events.map((e) => e.type),
    ["STARTED", "ITERATION", "ITERATION"],
    "a resumed run does not start twice",
  );
});

test("a cancelled run stays cancelled", async () => {
  const { store } = database;
  const claim = await claimed();
  assert.equal((await cancelRun(store, claim.id)).status, "CANCELLED");
  await assert.rejects(recordIteration(store, claim, iteration(0)), { code: "RUN_LOST" });
  await assert.rejects(
    recordPruned(store, claim, inspected("cancelled", 800), null, async () => {}),
    { code: "RUN_LOST" },
  );
  await recordFailure(store, claim.id, { code: "X", message: "too late" });
  await assert.rejects(cancelRun(store, claim.id), { code: "RUN_NOT_CANCELLABLE", details: { id: claim.id, status: "CANCELLED" } });
  assert.equal((await getRun(store.prisma, claim.id)).status, "CANCELLED");
  assert.equal((await eventsAfter(store.prisma, claim.id, 0, 9)).length, 1);
});

test("a failure is recorded once, with its event", async () => {
  const { store } = database;
  const { id: runId } = await claimed();
  const failure = { code: "TARGET_UNREACHABLE", message: "nothing is left to remove" };
  await recordFailure(store, runId, failure);
  await recordFailure(store, runId, { code: "OTHER", message: "again" });
  const run = await getRun(store.prisma, runId);
  assert.deepEqual([run.status, run.error], ["FAILED", failure]);
  const events = await eventsAfter(store.prisma, runId, 0, 9);
  assert.deepEqual(
    events.map((e) => [e.type, e.payload]),
    [["FAILED", failure]],
  );
});

test("a run whose job cannot be queued is not stored", async () => {
  const { store } = database;
  const { id: modelId } = await newModel(store, "unqueued");
  const request = { modelId, method: "PIP", options: defaultPruningOptions, datasetId: (await newDataset(store)).id };
  const full = new Error("the queue is full");
  await assert.rejects(
    createPruningRun(store, request, () => Promise.reject(full)),
    full,
  );
  assert.deepEqual((await listRuns(store.prisma, { first: 5 }, { modelId })).items, []);
  await assert.rejects(
    createPruningRun(store, { ...request, modelId: "nonsense" }, async () => {}),
    { code: "MODEL_NOT_FOUND" },
  );
});

test("runs are listed by model and status, newest first", async () => {
  const { store } = database;
  const { id: modelId } = await newModel(store, "listed");
  const request = { modelId, method: "PIP", options: defaultPruningOptions, datasetId: (await newDataset(store)).id };
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) ids.unshift((await createPruningRun(store, request, async () => {})).id);
  await cancelRun(store, ids[1] as string);
  const list = async (filter: Parameters<typeof listRuns>[2]) =>
    (await listRuns(store.prisma, { first: 10 }, filter)).items.map((r) => r.id);
  assert.deepEqual(await list({ modelId }), ids);
  assert.deepEqual(await list({ modelId, statuses: ["QUEUED"] }), [ids[0], ids[2]]);
  assert.deepEqual(await list({ modelId, statuses: ["CANCELLED"] }), [ids[1]]);
  assert.deepEqual(await list({ modelId: "nonsense" }), []);
  const ofAll = await list({});
  assert.deepEqual(ofAll.slice(0, 3), ids);
  await assert.rejects(getRun(store.prisma, "00000000-0000-7000-8000-000000000000"), { code: "RUN_NOT_FOUND" });
});

test("an iteration whose commit is repeated, for its answer was lost, is stored once", async () => {
  const { store } = database;
  const claim = await claimed();
  for (const index of [0, 0, 1, 1]) await recordIteration(store, claim, iteration(index));
  assert.equal((await runIterations(store.prisma, claim.id)).length, 2);
  assert.deepEqual(
    (await eventsAfter(store.prisma, claim.id, 0, 9)).map((e) => e.sequence),
    [1, 2],
  );
});

test("how far the scoring is is told by events, and only by the worker that has the run", async () => {
  const { store } = database;
  const claim = await claimed();
  const progress = { iteration: 0, samplesDone: 3, samplesTotal: 8 };
  await recordPassing(store, claim, "SCORING", progress);
  assert.deepEqual(
    (await eventsAfter(store.prisma, claim.id, 0, 9)).map((e) => [e.type, e.payload]),
    [["SCORING", progress]],
  );
  await claimPruningRun(store, claim.id);
  await assert.rejects(recordPassing(store, claim, "SCORING", progress), { code: "RUN_LOST" });
});

test("a run that is given back waits for the next worker; one that is over, or another's, stays as it is", async () => {
  const { store } = database;
  const first = await claimed();
  const statusNow = async () => (await getRun(store.prisma, first.id)).status;
  await releaseRun(store, first);
  assert.equal(await statusNow(), "QUEUED");
  const second = await claimPruningRun(store, first.id);
  assert.equal(second?.attempt, 2);
  await releaseRun(store, first);
  assert.equal(await statusNow(), "RUNNING");
  await cancelRun(store, first.id);
  await releaseRun(store, { id: first.id, attempt: 2 });
  assert.equal(await statusNow(), "CANCELLED");
});

test("a run that was cancelled or failed is resumed where its iterations end, in the queue; any other is refused", async () => {
  const { store } = database;
  const queued: string[] = [];
  const enqueue = async (_: unknown, run: { readonly id: string }) => void queued.push(run.id);
  const resume = (id: string) => resumeRun(store, id, (tx, run) => pruningStands(tx, run as PruningRunRecord), enqueue);
  await assert.rejects(resume("nonsense"), { code: "RUN_NOT_FOUND" });
  const claim = await claimed();
  const { id: runId } = claim;
  await assert.rejects(resume(runId), { code: "RUN_NOT_RESUMABLE", details: { id: runId, status: "RUNNING" } });
  await recordFailure(store, runId, { code: "X", message: "before any iteration" });
  const resumed = async () => (await eventsAfter(store.prisma, runId, 0, 20)).at(-1);
  const again = await resume(runId);
  assert.deepEqual([again.status, again.error, again.finishedAt], ["QUEUED", null, null]);
  const begun = { iterations: 0, parameterCount: 1000, removedRatio: 0, fromRunId: null };
  assert.deepEqual((await resumed())?.payload, begun);

  const next = await claimPruningRun(store, runId);
  assert.ok(next);
  for (const index of [0, 1, 2]) await recordIteration(store, next, iteration(index));
  await cancelRun(store, runId);
  await resume(runId);
  const { parameterCount, removedRatio } = iteration(2);
  assert.deepEqual((await resumed())?.payload, { ...begun, iterations: 3, parameterCount, removedRatio });
  assert.deepEqual(queued, [runId, runId]);
  await assert.rejects(resume(runId), { code: "RUN_NOT_RESUMABLE", details: { id: runId, status: "QUEUED" } });
  assert.equal(queued.length, 2);
});

test("runs wait by priority, then age, apart by provider; what does not wait has no place", async () => {
  const { store } = database;
  const { id: modelId } = await newModel(store, "waiting");
  const { id: datasetId } = await newDataset(store);
  const add = async (priority: number | undefined, executionProvider: "AUTO" | "CUDA") => {
    const options = { ...defaultPruningOptions, executionProvider };
    const run = { modelId, method: "PIP", options, datasetId, ...(priority === undefined ? {} : { priority }) };
    return (await createPruningRun(store, run, async () => {})).id;
  };
  // Whatever other tests left waiting lies between these two.
  const [low, high] = [-1000, 1000];
  const ids = [
    await add(low, "AUTO"),
    await add(high, "AUTO"),
    await add(high, "AUTO"),
    await add(high + 1, "AUTO"),
    await add(high, "CUDA"),
  ];
  const positions = await queuePositions(store.prisma, ids);
  assert.deepEqual(positions.slice(1), [2, 3, 1, 1]);
  assert.ok((positions[0] as number) > 3);
  await claimPruningRun(store, ids[3] as string);
  assert.deepEqual((await queuePositions(store.prisma, ids)).slice(1), [1, 2, null, 1]);
  const [zero, usual, below] = [await add(0, "CUDA"), await add(undefined, "CUDA"), await add(-1, "CUDA")];
  assert.deepEqual(await queuePositions(store.prisma, [zero, usual, below]), [2, 3, 4], "0 if unsaid");
});
