import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { appendEvent, eventsAfter, type StoredEvent } from "../../src/store/events.ts";
import { followRun } from "../../src/store/run-feed.ts";
import { cancelRun } from "../../src/store/runs.ts";
import { openStore } from "../../src/store/store.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { newRun } from "../support/records.ts";

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const never = new AbortController().signal;

function append(runId: string, samplesDone: number): Promise<number> {
  return database.store.prisma.$transaction((tx) => appendEvent(tx, runId, "SCORING", { iteration: 0, samplesDone, samplesTotal: 1000 }));
}

async function take(events: AsyncIterable<StoredEvent>): Promise<number[]> {
  const sequences: number[] = [];
  for await (const { sequence } of events) sequences.push(sequence);
  return sequences;
}

test("an event comes back as it was stored, numbers to their last digit", async () => {
  const { store } = database;
  const { id } = await newRun(store);
  const payload = {
    iteration: 3,
    removed: [{ kind: "LAYER" as const, index: 7, score: 0.48565341741777956, parameterCount: 100 }],
    parameterCount: 900,
    removedRatio: 1 / 3,
    loss: 1.2345678901234568e-300,
    perturbedLoss: 5e-324,
    durationMs: 12.5,
    estimatedMsLeft: 0,
  };
  assert.equal(await store.prisma.$transaction((tx) => appendEvent(tx, id, "ITERATION", payload)), 1);
  const [event] = await eventsAfter(store.prisma, id, 0, 10);
  assert.deepEqual(event && { ...event, createdAt: null }, { runId: id, sequence: 1, type: "ITERATION", payload, createdAt: null });
});

test("followers that come at any time, with writers at once, see every event once and in order, and the end", async () => {
  const { store } = database;
  const { id } = await newRun(store);
  const early = Array.from({ length: 3 }, () => take(followRun(store, id, 0, never)));
  const writers = range(0, 3).map(async (w) => {
    for (const i of range(1, 60)) await append(id, w * 60 + i);
  });
  const resumed = (async () => {
    const seen: number[] = [];
    // A client that hangs up after every 25 events and comes back with its last sequence.
    for (let last = 0; last < 241; ) {
      for await (const { sequence } of followRun(store, id, last, never)) {
        seen.push(sequence);
        last = sequence;
        if (seen.length % 25 === 0) break;
      }
    }
    return seen;
  })();
  await Promise.all(writers);
  await cancelRun(store, id);
  const all = range(1, 241);
  for (const follower of early) assert.deepEqual(await follower, all);
  assert.deepEqual(await resumed, all);
  assert.deepEqual(await take(followRun(store, id, 0, never)), all);
  assert.deepEqual(await take(followRun(store, id, 240, never)), [241]);
  assert.deepEqual(await take(followRun(store, id, 241, never)), []);
  assert.equal(store.listener["watches"].size, 0, "followers that are gone are forgotten");
});

test("a follower misses nothing when the listening connection is cut, again and again", async () => {
  const { store } = database;
  const { id } = await newRun(store);
  const follower = take(followRun(store, id, 0, never));
  const cut = () =>
    store.prisma.$queryRaw`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'espalier-listener'`;
  let cuts = 0;
  for (const i of range(1, 100)) {
    if (i % 10 === 0) cuts += ((await cut()) as unknown[]).length;
    await append(id, i);
  }
  assert.ok(cuts > 0, "the connection was there to be cut");
  await cancelRun(store, id);
  assert.deepEqual(await follower, range(1, 101));
});

test("an event of another process reaches a follower well before the next poll", async () => {
  const other = await openStore(database.url);
  const { id } = await newRun(database.store);
  const events = followRun(other, id, 0, never);
  await append(id, 1);
  await events.next();
  const latencies: number[] = [];
  for (const i of range(2, 12)) {
    const next = events.next();
    const begun = performance.now();
    await append(id, i);
    await next;
    latencies.push(performance.now() - begun);
  }
  await events.return();
  await other.close();
  // A poll comes a second after the last news: without notifications all but one or two take that long, on a busy machine and on an idle one.
  assert.ok((latencies.sort((a, b) => a - b)[3] as number) < 500, `${latencies} ms`);
});

test("what a transaction reports is unseen until it commits, and never seen if it does not", async () => {
  const { store } = database;
  const { id } = await newRun(store);
  const attempt = store.prisma.$transaction(async (tx) => {
    await appendEvent(tx, id, "CANCELLED", {});
    assert.deepEqual(await eventsAfter(store.prisma, id, 0, 10), []);
    throw new Error("changed my mind");
  });
  await assert.rejects(attempt, /changed my mind/);
  assert.equal(await append(id, 1), 1, "the sequence has no gap");
});

test("a follower ends when its signal aborts", async () => {
  const { store } = database;
  const { id } = await newRun(store);
  await append(id, 1);
  const controller = new AbortController();
  const events = followRun(store, id, 0, controller.signal);
  assert.equal((await events.next()).done, false);
  const next = events.next();
  controller.abort();
  assert.equal((await next).done, true);
  assert.equal(store.listener["watches"].size, 0);
});

test("a run that is not there cannot be followed", async () => {
  for (const id of ["nonsense", "00000000-0000-7000-8000-000000000000"])
    await assert.rejects(take(followRun(database.store, id, 0, never)), { code: "RUN_NOT_FOUND" });
});
