import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import pg from "pg";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { datasetOf } from "../../src/services/register-dataset.ts";
import { deleteDataset, registerDataset } from "../../src/store/datasets.ts";
import { createEvaluation } from "../../src/store/evaluations.ts";
import { migrate } from "../../src/store/migrate.ts";
import { type ConfirmFiles, deleteModel, registerRootModel, removeUnused } from "../../src/store/models.ts";
import { createPruningRun, type PruningRunRecord, pruningStands, recordIteration, runIterations } from "../../src/store/pruning-runs.ts";
import { claimRun, recordFailure } from "../../src/store/run-progress.ts";
import { cancelRun, deleteRun, getRun, resumeRun } from "../../src/store/runs.ts";
import { createFirstToken } from "../../src/store/tokens.ts";
import { createUpload } from "../../src/store/uploads.ts";
import { contend, waiting } from "../support/contention.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { claimPruningRun, inspected, newDataset, newModel, newRun, sha256, smallEvaluation } from "../support/records.ts";
import { until } from "../support/wait.ts";

/**
 * Each lock with two who really contend: one is held in the middle of what the lock is for, and only then the other comes.
 * Without the lock the other would go on, and see or leave behind what must not be.
 */
let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

const settled = <T>(result: PromiseSettledResult<T>): T => {
  if (result.status === "rejected") throw result.reason;
  return result.value;
};
const codeOf = (result: PromiseSettledResult<unknown>): unknown => (result.status === "rejected" ? result.reason.code : "no error");

const dataset = (name: string | null, records: string) => ({
  name,
  description: "",
  digest: sha256(`dataset ${records}`),
  form: "TEXT" as const,
  recordCount: 1,
  sizeBytes: 6,
});

test("the same records registered at once are one dataset", async () => {
  const { store } = database;
  const register = () => registerDataset(store, dataset("the same", "the same"));
  const { first, second, overtook } = await contend(database, ["INSERT", "Dataset"], register, register);
  assert.equal(overtook, false);
  assert.equal(settled(second).id, settled(first).id);
});

test("a dataset that comes with the server is one, whoever takes it first", async () => {
  const taken = await Promise.all([1, 2].map(() => datasetOf(database, { name: "literature-train" })));
  // Both found none, and now one stores it before the other does.
  const [first, second] = [await taken[0]?.keep(), await taken[1]?.keep()];
  assert.equal(second?.id, first?.id);
});

test("of other records registered under one name at once, the second are refused by name", async () => {
  const { store } = database;
  const { first, second } = await contend(
    database,
    ["INSERT", "Dataset"],
    () => registerDataset(store, dataset("one name", "these")),
    () => registerDataset(store, dataset("one name", "those")),
  );
  assert.equal(settled(first).name, "one name");
  assert.equal(codeOf(second), "DATASET_NAME_TAKEN");
});

test("the same bytes registered at once are one model", async () => {
  const { store } = database;
  const register = () => registerRootModel(store, inspected("twins"), "twins");
  const { first, second, overtook } = await contend(database, ["INSERT", "Model"], register, register);
  assert.equal(overtook, false);
  assert.equal(settled(second).id, settled(first).id);
});

async function newRunOf(modelId: string, key?: string): Promise<PruningRunRecord> {
  const { id: datasetId } = await newDataset(database.store);
  const run = { modelId, method: "PIP", options: defaultPruningOptions, datasetId };
  const keyed = key === undefined ? undefined : { owner: null, operation: "startPruning", key, request: { modelId } };
  return createPruningRun(database.store, run, async () => {}, keyed);
}

test("a request sent twice at once under one key makes one run", async () => {
  const { id } = await newModel(database.store, "keyed");
  const { first, second, overtook } = await contend(
    database,
    ["INSERT", "Run"],
    () => newRunOf(id, "once"),
    () => newRunOf(id, "once"),
  );
  assert.equal(overtook, false);
  assert.equal(settled(second).id, settled(first).id);
});

test("processes that start at once make one first token", async () => {
  const create = () => createFirstToken(database.store);
  const { first, second, overtook } = await contend(database, ["INSERT", "AccessToken"], create, create);
  assert.equal(overtook, false);
  assert.equal(typeof settled(first), "string");
  assert.equal(settled(second), null);
});

/** One of a run, as the loop reports it. */
const iteration = {
  type: "ITERATION" as const,
  iteration: 0,
  scores: [{ kind: "LAYER" as const, indexes: [0, 1], scores: [0.1, 0.2] }],
  removed: [{ kind: "LAYER" as const, index: 0, score: 0.1, parameterCount: 100 }],
  parameterCount: 900,
  removedRatio: 0.1,
  loss: 3.5,
  perturbedLoss: 4.25,
  durationMs: 10,
  estimatedMsLeft: 20,
};

test("a run is taken from a worker only between two of its writes", async () => {
  const { store } = database;
  const { id } = await newRun(store);
  const claim = await claimPruningRun(store, id);
  assert.ok(claim);
  const { first, second, overtook } = await contend(
    database,
    ["INSERT", "Iteration"],
    () => recordIteration(store, claim, iteration),
    () => claimRun(store, id),
  );
  assert.equal(overtook, false, "the other worker waits for the write under way");
  settled(first);
  assert.equal(settled(second)?.attempt, 2);
  assert.equal((await runIterations(store.prisma, id)).length, 1);
  await assert.rejects(recordIteration(store, claim, { ...iteration, iteration: 1 }), { code: "RUN_LOST" });
});

test("a run that fails while a worker writes ends after the write", async () => {
  const { store } = database;
  const { id } = await newRun(store);
  const claim = await claimPruningRun(store, id);
  assert.ok(claim);
  const { first, overtook } = await contend(
    database,
    ["INSERT", "Iteration"],
    () => recordIteration(store, claim, iteration),
    () => recordFailure(store, id, { code: "INTERNAL", message: "lost" }),
  );
  assert.equal(overtook, false);
  settled(first);
  assert.equal((await getRun(store.prisma, id)).status, "FAILED");
});

const atOnce: Record<string, (modelId: string) => Promise<unknown>> = {
  "a run of it": (id) => newRunOf(id),
  "an evaluation of it": async (modelId) => {
    const data = await newDataset(database.store);
    const settings = { ...smallEvaluation, sequenceLength: 16 };
    return createEvaluation(database.store, { modelId, dataset: data, settings, overlapRatio: 0 }, async () => {});
  },
  "its deletion": (id) => deleteModel(database.store, id, false),
};
for (const [what, make] of Object.entries(atOnce))
  test(`${what} while a model is being deleted waits, and finds no model`, async () => {
    const { store } = database;
    const { id } = await newModel(store, `going before ${what}`);
    const old = await newRunOf(id);
    await recordFailure(store, old.id, { code: "INTERNAL", message: "over" });
    const { first, second, overtook } = await contend(
      database,
      ["DELETE", "Run"],
      () => deleteModel(store, id, false),
      () => make(id),
    );
    assert.equal(overtook, false);
    settled(first);
    assert.equal(codeOf(second), "MODEL_NOT_FOUND");
  });

test("a model is not deleted while a run of it is being made", async () => {
  const { store } = database;
  const { id } = await newModel(store, "wanted");
  const { first, second } = await contend(
    database,
    ["INSERT", "Run"],
    () => newRunOf(id),
    () => deleteModel(store, id, false),
  );
  assert.equal(settled(first).status, "QUEUED");
  assert.equal(codeOf(second), "MODEL_IN_USE");
});

test("a run that is being deleted is not resumed meanwhile", async () => {
  const { store } = database;
  const { id } = await newRun(store);
  await cancelRun(store, id);
  await store.prisma.requestKey.create({ data: { operation: "startPruning", key: "deleted", digest: sha256(""), resultId: id } });
  // Held before the row itself is deleted, which locks it in any case.
  const { first, second, overtook } = await contend(
    database,
    ["DELETE", "RequestKey"],
    () => deleteRun(store, id),
    () => resumeRun(store, id, pruningStands, async () => {}),
  );
  settled(first);
  assert.deepEqual([codeOf(second), overtook], ["RUN_NOT_FOUND", false]);
});

test("what a client announces at once counts together", async () => {
  const { store } = database;
  const announce = () => {
    const files = [{ path: "a", sizeBytes: 600, sha256: null }];
    return createUpload(store, { tokenId: null, files, expiresAt: new Date(Date.now() + 60_000) }, 1000);
  };
  const { first, second, overtook } = await contend(database, ["INSERT", "Upload"], announce, announce);
  assert.equal(settled(first).sizeBytes, 600);
  assert.deepEqual([codeOf(second), overtook], ["UPLOAD_TOO_LARGE", false]);
});

/** A promise, and what resolves it. */
function promised() {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

test("while unused files are removed, nobody finds them still there and keeps them", async () => {
  const { store } = database;
  const { id } = await newModel(store, "left");
  const { sha256s } = await deleteModel(store, id, false);
  const done: string[] = [];
  const go = promised();
  const removing = removeUnused(store, sha256s, async () => {
    done.push("remove");
    await go.promise;
  });
  await until("the removal has begun", () => done.length > 0);
  const confirm: ConfirmFiles = async () => void done.push("confirm");
  const registering = registerRootModel(store, inspected("left"), "left", { confirmFiles: confirm });
  await until("the registration waits, or has looked", async () => done.includes("confirm") || (await waiting(database)) === 1);
  go.resolve();
  const removed = await removing;
  await registering;
  assert.deepEqual(done, [...removed.map(() => "remove"), "confirm"]);
});

test("while models are stored, at once too, no file is removed that they have found there", async () => {
  const { store } = database;
  const go = promised();
  let looking = 0;
  const confirm: ConfirmFiles = async () => {
    looking++;
    await go.promise;
  };
  const registering = ["found", "found too"].map((name) => registerRootModel(store, inspected(name), name, { confirmFiles: confirm }));
  await until("both look for their files", () => looking === 2);
  const removedFiles: string[] = [];
  const { files } = inspected("found");
  const removing = removeUnused(
    store,
    files.map((file) => file.sha256),
    async (file) => void removedFiles.push(file),
  );
  await until("the removal waits, or has begun", async () => removedFiles.length > 0 || (await waiting(database)) === 1);
  go.resolve();
  await Promise.all(registering);
  assert.deepEqual(await removing, []);
  assert.deepEqual(removedFiles, []);
});

test("a migration waits for one under way, be it ours or Prisma's", async () => {
  await database.store.prisma.$executeRawUnsafe(`CREATE DATABASE "turns"`);
  const url = new URL(database.url);
  url.pathname = "turns";
  const prisma = new pg.Client({ connectionString: url.href });
  const pool = new pg.Pool({ connectionString: url.href });
  await prisma.connect();
  try {
    await prisma.query("SELECT pg_advisory_lock(72707369)");
    const migrating = migrate(pool);
    const waits = async () => {
      const { rows } = await prisma.query("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'turns'");
      return rows.length === 1;
    };
    await until("the migration waits", waits);
    assert.deepEqual((await prisma.query("SELECT to_regclass('_prisma_migrations') AS made")).rows, [{ made: null }]);
    await prisma.query("SELECT pg_advisory_unlock(72707369)");
    assert.ok((await migrating).length > 0);
  } finally {
    await prisma.end();
    await pool.end();
  }
});

test("a dataset that a run is being made with is kept, and one that is being deleted takes no run", async () => {
  const { store } = database;
  const { id: modelId } = await newModel(store, "of a dataset that goes");
  const { id: kept } = await registerDataset(store, dataset(null, "kept"));
  const run = (datasetId: string) =>
    createPruningRun(store, { modelId, method: "PIP", options: defaultPruningOptions, datasetId }, async () => {});
  const made = await contend(
    database,
    ["INSERT", "Run"],
    () => run(kept),
    () => deleteDataset(store, kept),
  );
  assert.deepEqual([settled(made.first).datasetId, codeOf(made.second), made.overtook], [kept, "DATASET_IN_USE", false]);
  const { id: gone, digest } = await registerDataset(store, dataset(null, "gone"));
  const deleted = await contend(
    database,
    ["DELETE", "Dataset"],
    () => deleteDataset(store, gone),
    () => run(gone),
  );
  assert.deepEqual([settled(deleted.first), codeOf(deleted.second), deleted.overtook], [digest, "DATASET_NOT_FOUND", false]);
});

test("records registered anew while their file is removed are confirmed once it has gone", async () => {
  const { store } = database;
  const { id, digest } = await registerDataset(store, dataset(null, "returning"));
  await deleteDataset(store, id);
  const order: string[] = [];
  const removing = removeUnused(store, [digest], async () => {
    const again = registerDataset(store, dataset(null, "returning"), async () => order.push("confirmed"));
    again.catch(() => {});
    await until("registering waits", async () => (await waiting(database)) > 0);
    order.push("removed");
    returning = again;
  });
  let returning: Promise<unknown> = Promise.resolve();
  await removing;
  await returning;
  assert.deepEqual(order, ["removed", "confirmed"]);
});
