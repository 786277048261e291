import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { openArtifacts } from "../../src/artifacts/artifacts.ts";
import { compressionMethods } from "../../src/compression/methods/index.ts";
import type { CompressionMethod } from "../../src/compression/methods/method.ts";
import { type CompressionOptions, defaultCompressionOptions } from "../../src/compression/options.ts";
import { standsOf } from "../../src/jobs/run-kinds.ts";
import { startWorker, type Worker } from "../../src/jobs/worker.ts";
import { deleteRun } from "../../src/services/delete-run.ts";
import { fsck } from "../../src/services/fsck.ts";
import { type CompressionRunRecord, compressedFiles, createCompressionRun, productsOfRuns } from "../../src/store/compression-runs.ts";
import { deleteModel, getModel } from "../../src/store/models.ts";
import { cancelRun, getRun, resumeRun } from "../../src/store/runs.ts";
import { runningComputeProcesses } from "../support/compute-processes.ts";
import { allEvents, eventOf, type JobBench, jobBench } from "../support/jobs.ts";
import { until } from "../support/wait.ts";

// A compression run lives through what other runs live through, and ends with the same bytes.

/** One whose steps go by what those before them made of the model. */
const method = (compressionMethods.find((m) => m.needsGram) ?? compressionMethods[0]) as CompressionMethod;

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

async function compress(own: Partial<CompressionOptions> = {}): Promise<CompressionRunRecord> {
  const texts = method.needsGram ? { datasetId: (await bench.dataset("literature-train")).id } : {};
  const options = { ...defaultCompressionOptions, executionProvider: "CPU" as const, ...own };
  return createCompressionRun(bench.store, { modelId: bench.ahab.id, method: method.name, options, ...texts }, bench.queue.addRun);
}

async function finished({ id }: CompressionRunRecord): Promise<{ digest: string; types: readonly string[] }> {
  const events = await allEvents(bench, id);
  assert.deepEqual(
    events.map((e) => e.sequence),
    events.map((_, i) => i + 1),
  );
  const { prisma } = bench.store;
  const { status, error, resultModelId, result, progress } = await getRun(prisma, id, "COMPRESSION");
  assert.deepEqual([status, progress], ["SUCCEEDED", 1], JSON.stringify(error));
  const [steps] = events.flatMap((e) => (e.type === "STARTED" && "steps" in e.payload ? [e.payload.steps] : []));
  const told = events.flatMap((e) => (e.type === "COMPRESSED" ? [e.payload] : []));
  assert.deepEqual(
    told.map((t) => t.step),
    Array.from({ length: steps ?? 0 }, (_, i) => i + 1),
    "each step is told of once",
  );
  const [products = []] = await productsOfRuns(prisma, [id]);
  assert.deepEqual(
    products,
    told.flatMap((t) => t.products),
  );
  assert.equal(products.length, result?.productCount);
  assert.deepEqual(await compressedFiles(prisma, id), [], "a run that is over needs no files of steps");
  const { digest, parentId } = await getModel(prisma, resultModelId ?? "");
  assert.equal(parentId, bench.ahab.id);
  return { digest, types: events.map((e) => e.type) };
}

test("it makes a child of a model, the same for the same options, and leaves no files of steps behind", async () => {
  const run = await compress();
  const { digest } = await finished(run);
  undisturbed = digest;
  assert.equal((await finished(await compress())).digest, digest);
  const { resultModelId } = await getRun(bench.store.prisma, run.id);
  const child = await getModel(bench.store.prisma, resultModelId ?? "");
  assert.equal(child.name, `ahab-${method.name.toLowerCase()}-int4`);
  assert.ok((child.operators["com.microsoft::MatMulNBits"] ?? 0) > 0);
  assert.deepEqual([child.pruningObstacle?.code, child.parameterCount], ["QUANTISED_WEIGHTS", bench.ahab.parameterCount]);
  assert.deepEqual(child.architecture, bench.ahab.architecture);
  const used = new Set((await bench.store.prisma.artifact.findMany()).map((a) => a.sha256));
  for await (const { sha256 } of (await openArtifacts(bench.dataDirectory)).list()) assert.ok(used.has(sha256), `${sha256} is nobody's`);
});

test("when its worker is killed, and then its compute process, it goes on after its last step each time, to the same bytes", async () => {
  await worker.stop();
  const child = await bench.workerProcess();
  const run = await compress();
  await eventOf(bench, run.id, "COMPRESSED");
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
  worker = await startWorker(bench.queue, bench);
  const compute = await until("a compute process", () => runningComputeProcesses()[0] ?? null, 60_000);
  compute.kill("SIGKILL");
  assert.equal((await finished(run)).digest, undisturbed);
  assert.ok((await getRun(bench.store.prisma, run.id)).attempt > 1);
});

test("a run that was cancelled goes on after its last step, to the same bytes", async () => {
  const run = await compress();
  await eventOf(bench, run.id, "COMPRESSED");
  await cancelRun(bench.store, run.id);
  const files = await compressedFiles(bench.store.prisma, run.id);
  assert.ok(files.length > 0);
  await resumeRun(bench.store, run.id, standsOf, bench.queue.addRun);
  const events = await allEvents(bench, run.id);
  assert.deepEqual(
    events.flatMap((e) => (e.type === "RESUMED" ? [e.payload] : [])),
    [{ step: files.length }],
  );
  assert.equal((await finished(run)).digest, undisturbed);
});

/** A run that was ended between two steps, and the files that it keeps. */
async function cutShort(): Promise<{ id: string; files: readonly string[] }> {
  const { id } = await compress({ seed: 1, blockSize: 64 });
  await eventOf(bench, id, "COMPRESSED");
  await cancelRun(bench.store, id);
  await until("its process has ended", () => (runningComputeProcesses().length === 0 ? true : null));
  return { id, files: await compressedFiles(bench.store.prisma, id) };
}

test("the files of a run that was cancelled are kept, and go with the run", async () => {
  const { id, files } = await cutShort();
  const artifacts = await openArtifacts(bench.dataDirectory);
  const { store, dataDirectory } = bench;
  for await (const { problem, what } of fsck({ store, dataDirectory, repair: true, graceMs: 0 }))
    assert.ok(problem !== "UNREFERENCED" || !files.includes(what), what);
  assert.deepEqual(
    await Promise.all(files.map((sha256) => artifacts.has(sha256))),
    files.map(() => true),
  );
  await deleteRun(bench, id);
  assert.deepEqual(
    await Promise.all(files.map((sha256) => artifacts.has(sha256))),
    files.map(() => false),
  );
});

test("a model is not deleted while a run compresses it, and takes the files of one that was cut short with it", async () => {
  const { id, files } = await cutShort();
  // Back in the queue, where no worker finds it.
  await resumeRun(bench.store, id, standsOf, async () => {});
  await assert.rejects(deleteModel(bench.store, bench.ahab.id, true), { code: "MODEL_IN_USE" });
  await cancelRun(bench.store, id);
  const { sha256s } = await deleteModel(bench.store, bench.ahab.id, true);
  assert.deepEqual(
    files.filter((sha256) => !sha256s.includes(sha256)),
    [],
  );
});
