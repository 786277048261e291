import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startWorker, type Worker } from "../../src/jobs/worker.ts";
import { createEvaluation, type EvaluationRecord, getEvaluation } from "../../src/store/evaluations.ts";
import { computeProcesses, runningComputeProcesses } from "../support/compute-processes.ts";
import { type JobBench, jobBench } from "../support/jobs.ts";
import { until } from "../support/wait.ts";

// An evaluation lives through what a pruning run lives through.

let bench: JobBench;
let worker: Worker;
/** Of an evaluation that nothing disturbed. */
let undisturbed: number;

before(async () => {
  bench = await jobBench();
  worker = await startWorker(bench.queue, bench);
});
after(async () => {
  await worker.stop();
  await bench.close();
});

/** Of seconds, so that there is time to disturb it. */
async function evaluation(): Promise<string> {
  const settings = {
    sequenceLength: 128,
    stride: 16,
    maxTokens: 8_000,
    maxItems: null,
    measureSpeed: false,
    executionProvider: "CPU" as const,
  };
  const request = { modelId: bench.ahab.id, dataset: await bench.dataset("literature-heldout"), settings, overlapRatio: 0 };
  return (await createEvaluation(bench.store, request, bench.queue.addRun)).id;
}

const now = (id: string): Promise<EvaluationRecord> => getEvaluation(bench.store.prisma, id);
const underWay = (id: string) => until("it is under way", async () => (await now(id)).progress > 0, 120_000);

async function ended(id: string): Promise<EvaluationRecord> {
  // Not while the database is away.
  const over = async () => {
    const found = await now(id).catch(() => null);
    return found?.finishedAt ? found : null;
  };
  return until("it ends", over, 240_000);
}

async function assertUndisturbed(id: string): Promise<EvaluationRecord> {
  const found = await ended(id);
  assert.equal(found.status, "SUCCEEDED", JSON.stringify(found.error));
  assert.equal(found.result?.perplexity, undisturbed);
  return found;
}

test("undisturbed it ends with its figures", async () => {
  const { status, result, error } = await ended(await evaluation());
  assert.equal(status, "SUCCEEDED", JSON.stringify(error));
  undisturbed = result?.perplexity as number;
});

test("when its compute process is killed it goes on in a new one", async () => {
  const id = await evaluation();
  const before = computeProcesses.length;
  await underWay(id);
  for (const child of runningComputeProcesses()) child.kill("SIGKILL");
  const { attempt } = await assertUndisturbed(id);
  assert.deepEqual([attempt, computeProcesses.length], [1, before + 2], "the worker saw to it itself");
});

test("when its compute process crashes again and again it fails, and says of what", async () => {
  const id = await evaluation();
  for (let i = 0; i < 3; i++) {
    const [child] = await until("a compute process", () => (runningComputeProcesses().length > 0 ? runningComputeProcesses() : null));
    assert.ok(child);
    const exited = once(child, "exit");
    child.kill("SIGSEGV");
    await exited;
  }
  const { status, error } = await ended(id);
  assert.deepEqual([status, error?.code], ["FAILED", "COMPUTE_PROCESS_DIED"]);
});

test("when PostgreSQL is killed under it, it goes on, and its end is stored once that is back", async () => {
  const { prisma } = bench.store;
  const id = await evaluation();
  const before = computeProcesses.length;
  await underWay(id);
  const [row] = await prisma.$queryRaw<{ data_directory: string }[]>`SHOW data_directory`;
  const [pid] = (await readFile(join(row?.data_directory as string, "postmaster.pid"), "utf8")).split("\n");
  process.kill(Number(pid), "SIGKILL");
  await assertUndisturbed(id);
  assert.equal(computeProcesses.length, before + 1, "what was computed counts");
});

test("when its worker stops in good order it waits, and says so; when the next is killed with -9 another takes it up", async () => {
  const id = await evaluation();
  await underWay(id);
  await worker.stop();
  assert.deepEqual([(await now(id)).status, runningComputeProcesses()], ["QUEUED", []]);
  const doomed = await bench.workerProcess();
  await until("the next has taken it up", async () => (await now(id)).attempt === 2);
  await underWay(id);
  const exited = once(doomed, "exit");
  doomed.kill("SIGKILL");
  await exited;
  worker = await startWorker(bench.queue, bench);
  const { attempt } = await assertUndisturbed(id);
  assert.equal(attempt, 3);
});
