import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { kindOf, standsOf } from "../../src/jobs/run-kinds.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { createEvaluation, getEvaluation } from "../../src/store/evaluations.ts";
import { eventsAfter } from "../../src/store/events.ts";
import { createPruningRun, type PruningRunRecord, recordPruned } from "../../src/store/pruning-runs.ts";
import { claimRun, recordFailure } from "../../src/store/run-progress.ts";
import { cancelRun, type Enqueue, getRun, queuePositions, type RunRecord, resumeRun, type Subject } from "../../src/store/runs.ts";
import { contend } from "../support/contention.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { claimPruningRun, inspected, newDataset, newModel, newRun, smallEvaluation } from "../support/records.ts";

// Runs that work on the result of another.

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

/** The ids of runs whose jobs were put into the queue. */
let queued: string[] = [];
const enqueue: Enqueue = async (_, { id }) => void queued.push(id);

const evaluationOf = async (subject: Subject) =>
  createEvaluation(
    database.store,
    { ...subject, dataset: await newDataset(database.store), settings: smallEvaluation, overlapRatio: 0 },
    enqueue,
  );

const pruningOf = async (subject: Subject): Promise<PruningRunRecord> => {
  const { id: datasetId } = await newDataset(database.store);
  return createPruningRun(database.store, { ...subject, method: "PIP", options: defaultPruningOptions, datasetId }, enqueue);
};

const now = (id: string): Promise<RunRecord> => getRun(database.store.prisma, id);
const eventsOf = async (id: string) => (await eventsAfter(database.store.prisma, id, 0, 20)).map(({ type, payload }) => [type, payload]);
const resume = (id: string) => resumeRun(database.store, id, standsOf, enqueue);

/** Ends a pruning run with a model of a name. */
async function succeed(id: string, name: string): Promise<string> {
  const claim = await claimPruningRun(database.store, id);
  assert.ok(claim);
  await recordPruned(database.store, claim, inspected(name, 800), null, enqueue);
  return (await now(id)).resultModelId ?? "";
}

test("a run waits for the result of another, out of the queue, and gets it with its success", async () => {
  const { store } = database;
  queued = [];
  const { id } = await newRun(store);
  const [evaluation, pruning] = [await evaluationOf({ resultOf: id }), await pruningOf({ resultOf: id })];
  const next = await evaluationOf({ resultOf: pruning.id });
  for (const run of [evaluation, pruning, next]) assert.deepEqual([run.status, run.modelId], ["QUEUED", null]);
  assert.deepEqual([evaluation.subjectRunId, next.subjectRunId], [id, pruning.id]);
  assert.deepEqual([queued, await queuePositions(store.prisma, [evaluation.id, pruning.id])], [[], [null, null]]);

  const modelId = await succeed(id, "awaited");
  assert.deepEqual(queued.toSorted(), [evaluation.id, pruning.id].toSorted());
  for (const run of [evaluation, pruning]) {
    assert.equal((await now(run.id)).modelId, modelId);
    assert.deepEqual(await eventsOf(run.id), [["QUEUED", { modelId }]]);
  }
  assert.equal((await now(next.id)).modelId, null, "what waits for another still waits");
  const claimed = await claimRun(store, evaluation.id, kindOf({ kind: "EVALUATION" }).begin);
  assert.equal(claimed?.modelId, modelId);
  const { comparisonKey } = await evaluationOf({ modelId });
  assert.ok(comparisonKey);
  assert.equal((await getEvaluation(store.prisma, evaluation.id)).comparisonKey, comparisonKey, "it compares with others of that model");
  await succeed(pruning.id, "awaited in turn");
  assert.equal(queued.at(-1), next.id);
});

test("the result of a run that is over is taken at once; one that has none is refused", async () => {
  const { store } = database;
  queued = [];
  const { id } = await newRun(store);
  const modelId = await succeed(id, "there already");
  const taken = await evaluationOf({ resultOf: id });
  assert.deepEqual([taken.modelId, taken.subjectRunId, queued], [modelId, id, [taken.id]]);
  const { id: failed } = await newRun(store);
  await recordFailure(store, failed, { code: "X", message: "why" });
  await assert.rejects(evaluationOf({ resultOf: failed }), { code: "RUN_WITHOUT_RESULT", details: { id: failed, status: "FAILED" } });
  await assert.rejects(pruningOf({ resultOf: "nonsense" }), { code: "RUN_NOT_FOUND" });
});

test("a run fails with the one it waits for, and so does what waits for it; what is under way goes on", async () => {
  const { store } = database;
  const { id } = await newRun(store);
  const middle = await pruningOf({ resultOf: id });
  const last = await evaluationOf({ resultOf: middle.id });
  const apart = await evaluationOf({ modelId: (await newModel(store, "apart")).id });
  await recordFailure(store, id, { code: "TARGET_UNREACHABLE", message: "nothing is left" });
  for (const [run, subject] of [
    [middle, id],
    [last, middle.id],
  ] as const) {
    const error = { code: "SUBJECT_FAILED", message: `the run ${subject}, for whose result it waited, failed` };
    const { status, error: told, finishedAt } = await now(run.id);
    assert.deepEqual([status, told], ["FAILED", error]);
    assert.ok(finishedAt);
    assert.deepEqual(await eventsOf(run.id), [["FAILED", error]]);
  }
  assert.equal((await now(apart.id)).status, "QUEUED");
});

test("a run is cancelled with the one it waits for, and alone leaves that one be", async () => {
  const { store } = database;
  queued = [];
  const { id } = await newRun(store);
  const [first, second] = [await evaluationOf({ resultOf: id }), await pruningOf({ resultOf: id })];
  await cancelRun(store, first.id);
  assert.deepEqual([(await now(id)).status, (await now(second.id)).status], ["QUEUED", "QUEUED"]);
  await cancelRun(store, id);
  assert.equal((await now(second.id)).status, "CANCELLED");
  for (const run of [first, second]) assert.deepEqual(await eventsOf(run.id), [["CANCELLED", {}]]);

  // Resumed in the order in which they wait.
  await assert.rejects(resume(second.id), { code: "RUN_WITHOUT_RESULT", details: { id, status: "CANCELLED" } });
  assert.equal((await now(second.id)).status, "CANCELLED");
  await resume(id);
  assert.equal((await resume(second.id)).modelId, null);
  assert.deepEqual((await eventsOf(second.id)).at(-1), [
    "RESUMED",
    { iterations: 0, parameterCount: null, removedRatio: 0, fromRunId: null },
  ]);
  assert.deepEqual(queued, [id], "what waits is not in the queue");
  const modelId = await succeed(id, "after all");
  assert.equal((await now(second.id)).modelId, modelId);
  assert.equal((await resume(first.id)).modelId, modelId, "what it waited for is there by now");
  assert.deepEqual(queued, [id, second.id, first.id]);
});

test("a run that ends while another is made to wait for it takes that one with it", async () => {
  const { store } = database;
  const { id } = await newRun(store);
  const { first, second, overtook } = await contend(
    database,
    ["INSERT", "Run"],
    () => evaluationOf({ resultOf: id }),
    () => recordFailure(store, id, { code: "X", message: "why" }),
  );
  assert.equal(overtook, false);
  assert.ok(first.status === "fulfilled" && second.status === "fulfilled");
  assert.equal((await now(first.value.id)).error?.code, "SUBJECT_FAILED");
});
