import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { pino } from "pino";
import { type JobOptions, Queue, queuesFor } from "../../src/jobs/queue.ts";
import type { RunKind } from "../../src/store/runs.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";

let database: TestDatabase;
let queue: Queue;
before(async () => {
  database = await testDatabase();
  queue = await Queue.open(database.store, pino({ level: "silent" }));
});
after(async () => {
  await queue.close();
  await database.close();
});
// Each test finds the queues empty, whatever the one before it left.
beforeEach(async () => void (await database.store.prisma.$executeRaw`DELETE FROM pgboss.job`));

const add = (id: string, options: Partial<JobOptions> = {}, kind: RunKind = "PRUNING"): Promise<void> =>
  database.store.prisma.$transaction((tx) => queue.add(tx, kind, id, options));

/** All jobs of some queues, in the order they are taken. */
async function takeAll(queues: readonly string[]): Promise<string> {
  const taken: string[] = [];
  for (let job = await queue.take(queues); job; job = await queue.take(queues)) taken.push(job.data.id);
  return taken.join(" ");
}

test("in one queue the highest priority goes first, and among equals the oldest", async () => {
  for (const [id, priority] of Object.entries({ a: 0, b: 5, c: -3, d: 5, e: 2, f: 0 })) await add(id, { priority });
  assert.equal(await takeAll(["prune"]), "b d e a f c");
});

test("of the foremost of several queues the highest priority goes first", async () => {
  await add("low", { priority: 1 });
  await add("high", { priority: 3, provider: "CPU" });
  await add("middle", { priority: 2 });
  await add("lowest", { priority: 0, provider: "CPU" });
  assert.equal(await takeAll(queuesFor("PRUNING", ["CPU"])), "high middle low lowest");
});

test("of equals in several queues the oldest goes first, in whichever it lies", async () => {
  for (const [id, provider] of Object.entries({ a: "CPU", b: "AUTO", c: "AUTO", d: "CPU" } as const)) await add(id, { provider });
  assert.equal(await takeAll(queuesFor("PRUNING", ["CPU"])), "a b c d");
});

test("what asks for another provider, or is of another kind, is left, however urgent", async () => {
  await add("cuda", { priority: 100, provider: "CUDA" });
  await add("evaluation", { priority: 100 }, "EVALUATION");
  await add("run");
  assert.equal(await takeAll(queuesFor("PRUNING", ["CPU"])), "run");
  assert.equal(await takeAll(queuesFor("EVALUATION", ["CPU"])), "evaluation");
  assert.equal(await takeAll(queuesFor("PRUNING", ["CPU", "CUDA"])), "cuda");
});

test("several who take at once never get the same job", async () => {
  const ids = Array.from({ length: 12 }, (_, i) => `job ${String(i).padStart(2, "0")}`);
  for (const id of ids) await add(id);
  const taken: string[] = [];
  const taker = async () => {
    // One who finds that another was faster gets nothing, and asks again.
    while (taken.length < ids.length) {
      const job = await queue.take(["prune"]);
      if (job) taken.push(job.data.id);
    }
  };
  await Promise.all([taker(), taker(), taker()]);
  assert.deepEqual(taken.sort(), ids);
});

test("a job that is given back comes again at its place", async () => {
  for (const [id, priority] of Object.entries({ urgent: 9, usual: 0 })) await add(id, { priority });
  const job = await queue.take(["prune"]);
  assert.equal(job?.data.id, "urgent");
  assert.ok(job);
  await queue.giveBack(job, database.store.prisma);
  assert.equal(await takeAll(["prune"]), "urgent usual");
});
