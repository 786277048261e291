import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openArtifacts } from "../../src/artifacts/artifacts.ts";
import { standsOf } from "../../src/jobs/run-kinds.ts";
import { startWorker, type Worker } from "../../src/jobs/worker.ts";
import { defaultRecoveryOptions } from "../../src/recovery/options.ts";
import { deleteRun } from "../../src/services/delete-run.ts";
import { getDataset } from "../../src/store/datasets.ts";
import { getModel } from "../../src/store/models.ts";
import { checkpointOf, createRecoveryRun, type RecoveryRunRecord } from "../../src/store/recovery-runs.ts";
import { cancelRun, getRun, resumeRun } from "../../src/store/runs.ts";
import { parseDataset } from "../../src/text/dataset-content.ts";
import { runningComputeProcesses } from "../support/compute-processes.ts";
import { allEvents, eventOf, type JobBench, jobBench } from "../support/jobs.ts";
import { until } from "../support/wait.ts";

// A recovery run lives through what a pruning run lives through, and ends with the same bytes.

let bench: JobBench;
let worker: Worker;
/** What is healed: the bundled model without some layers. */
let pruned: string;
/** Of the model that an undisturbed run makes. */
let undisturbed: string;

before(async () => {
  bench = await jobBench();
  worker = await startWorker(bench.queue, bench);
  const run = await bench.prune({ targetRatio: 0.2 });
  await allEvents(bench, run.id);
  pruned = (await getRun(bench.store.prisma, run.id)).resultModelId ?? "";
});
after(async () => {
  await worker.stop();
  await bench.close();
});

async function heal(steps = 8): Promise<RecoveryRunRecord> {
  const { id: datasetId } = await bench.dataset("literature-train");
  const small = {
    steps,
    checkEverySteps: 2,
    batchSize: 8,
    sequenceLength: 32,
    heldBackTexts: 16,
    warmupSteps: 2,
    executionProvider: "CPU" as const,
  };
  const options = { ...defaultRecoveryOptions, ...small };
  return createRecoveryRun(bench.store, { modelId: pruned, method: "LORA", options, datasetId }, bench.queue.addRun);
}

async function finished({ id }: RecoveryRunRecord): Promise<{ digest: string; types: readonly string[] }> {
  const events = await allEvents(bench, id);
  assert.deepEqual(
    events.map((e) => e.sequence),
    events.map((_, i) => i + 1),
  );
  const { status, error, resultModelId } = await getRun(bench.store.prisma, id);
  assert.equal(status, "SUCCEEDED", JSON.stringify(error));
  const checks = events.flatMap((e) => (e.type === "CHECK" ? [e.payload.step] : []));
  assert.deepEqual(checks, [2, 4, 6, 8], "each check is told of once");
  assert.equal(await checkpointOf(bench.store.prisma, id), null, "a run that is over needs no checkpoint");
  const { digest, parentId } = await getModel(bench.store.prisma, resultModelId ?? "");
  assert.equal(parentId, pruned);
  return { digest, types: events.map((e) => e.type) };
}

/** Artifacts of which the database does not know. */
async function nobodys(): Promise<string[]> {
  const used = new Set((await bench.store.prisma.artifact.findMany()).map((a) => a.sha256));
  const found: string[] = [];
  for await (const { sha256 } of (await openArtifacts(bench.dataDirectory)).list()) if (!used.has(sha256)) found.push(sha256);
  return found;
}

test("it makes a child of the model that it heals, the same for the same seed, and leaves no checkpoint behind", async () => {
  const { digest } = await finished(await heal());
  undisturbed = digest;
  assert.notEqual(digest, (await getModel(bench.store.prisma, pruned)).digest);
  assert.equal((await finished(await heal())).digest, digest);
  assert.deepEqual(await nobodys(), []);
});

test("when its worker is killed, and then its compute process, it goes on from its last check each time, to the same bytes", async () => {
  await worker.stop();
  const child = await bench.workerProcess();
  const run = await heal();
  await eventOf(bench, run.id, "CHECK");
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
  worker = await startWorker(bench.queue, bench);
  const [compute] = await until(
    "a compute process",
    () => (runningComputeProcesses().length > 0 ? runningComputeProcesses() : null),
    60_000,
  );
  compute?.kill("SIGKILL");
  assert.equal((await finished(run)).digest, undisturbed);
});

test("when its worker is killed with a checkpoint stored that no row names yet, it ends with the same bytes, and nothing is left over", async () => {
  await worker.stop();
  const run = await heal();
  // While this lock is held, files of checks are stored and their rows are not.
  await bench.store.prisma.$transaction(
    async (tx) => {
      await tx.$executeRaw`LOCK TABLE "Checkpoint" IN EXCLUSIVE MODE`;
      const child = await bench.workerProcess();
      await until("a checkpoint without a row", async () => ((await nobodys()).length > 0 ? true : null), 60_000);
      assert.equal(await checkpointOf(bench.store.prisma, run.id), null);
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
    { timeout: 120_000 },
  );
  worker = await startWorker(bench.queue, bench);
  assert.equal((await finished(run)).digest, undisturbed);
  assert.deepEqual(await nobodys(), []);
});

test("a run that failed goes on from its last check once what was missing is back, to the same bytes", async () => {
  const { digest } = await bench.dataset("literature-train");
  const file = (await (await openArtifacts(bench.dataDirectory)).path(digest)) ?? "";
  const away = join(bench.dataDirectory, "away");
  const run = await heal();
  await eventOf(bench, run.id, "CHECK");
  await rename(file, away);
  for (const compute of runningComputeProcesses()) compute.kill("SIGKILL");
  await allEvents(bench, run.id);
  const failed = await getRun(bench.store.prisma, run.id);
  await rename(away, file);
  assert.deepEqual([failed.status, failed.error?.code], ["FAILED", "ARTIFACT_MISSING"]);
  assert.notEqual(await checkpointOf(bench.store.prisma, run.id), null, "what was done is kept");
  await resumeRun(bench.store, run.id, standsOf, bench.queue.addRun);
  const { digest: found, types } = await finished(run);
  assert.equal(found, undisturbed);
  assert.ok(types.includes("FAILED") && types.includes("RESUMED"));
});

const self = { tokens: 2048, textTokens: 40, prompts: ["The whale"], randomTokens: 1, temperature: 1, topP: 1 };

test("texts that the teacher writes are the run's dataset; killed while it writes, the run ends with the same bytes", async () => {
  const begin = () => {
    const small = { steps: 4, checkEverySteps: 2, batchSize: 8, sequenceLength: 32, heldBackTexts: 16, executionProvider: "CPU" as const };
    const options = { ...defaultRecoveryOptions, ...small, self };
    return createRecoveryRun(bench.store, { modelId: pruned, method: "LORA", options }, bench.queue.addRun);
  };
  const ended = async ({ id }: RecoveryRunRecord) => {
    const events = await allEvents(bench, id);
    const { status, error, resultModelId, datasetId } = await getRun(bench.store.prisma, id);
    assert.equal(status, "SUCCEEDED", JSON.stringify(error));
    const told = events.flatMap((e) => (e.type === "TEXTS" ? [e.payload] : []));
    assert.equal(told.length, 1, "its texts are told of once");
    assert.equal(told[0]?.datasetId, datasetId);
    const { digest } = await getModel(bench.store.prisma, resultModelId ?? "");
    return { datasetId, digest };
  };
  const killed = await begin();
  const compute = await until("a compute process", () => runningComputeProcesses()[0] ?? null, 60_000);
  await eventOf(bench, killed.id, "WRITING");
  compute.kill("SIGKILL");
  const found = await ended(killed);
  assert.deepEqual(await ended(await begin()), found, "the same texts are one dataset");
  const { form, digest, name, description } = await getDataset(bench.store.prisma, { id: found.datasetId ?? "" });
  assert.deepEqual([form, name], ["TEXT", null]);
  assert.match(description, /^Written for the recovery run .* seed 0, .*"prompts":\["The whale"\]/);
  const path = await (await openArtifacts(bench.dataDirectory)).path(digest);
  const texts = parseDataset(".jsonl", await readFile(path ?? ""));
  assert.ok(texts.form === "TEXT" && texts.documents.every((text) => text.startsWith("The whale")));
});

test("a run that was cancelled goes on from its last check, to the same bytes", async () => {
  const run = await heal();
  await eventOf(bench, run.id, "CHECK");
  await cancelRun(bench.store, run.id);
  assert.notEqual(await checkpointOf(bench.store.prisma, run.id), null);
  await resumeRun(bench.store, run.id, standsOf, bench.queue.addRun);
  const { digest, types } = await finished(run);
  assert.equal(digest, undisturbed);
  assert.ok(types.includes("RESUMED"));
});

test("the checkpoint of a run that was cancelled goes with the run", async () => {
  const run = await heal();
  await eventOf(bench, run.id, "CHECK");
  await cancelRun(bench.store, run.id);
  const sha256 = (await checkpointOf(bench.store.prisma, run.id)) ?? "";
  const artifacts = await openArtifacts(bench.dataDirectory);
  assert.ok(await artifacts.has(sha256));
  await deleteRun(bench, run.id);
  assert.ok(!(await artifacts.has(sha256)));
});

test("a model that no larger one was pruned to is not healed without a teacher", async () => {
  const { id: datasetId } = await bench.dataset("literature-train");
  const options = { ...defaultRecoveryOptions, executionProvider: "CPU" as const };
  const run = await createRecoveryRun(bench.store, { modelId: bench.ahab.id, method: "LORA", options, datasetId }, bench.queue.addRun);
  await allEvents(bench, run.id);
  assert.equal((await getRun(bench.store.prisma, run.id)).error?.code, "NO_TEACHER");
});
