import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { appendEvent, type StoredEvent } from "../../src/store/events.ts";
import { followRun } from "../../src/store/run-feed.ts";
import { cancelRun } from "../../src/store/runs.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { followers } from "../support/followers.ts";
import { newRun } from "../support/records.ts";

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

/** More than a feed keeps for its followers together. */
const many = 300;
const kept = 256;

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

const follow = followers((over: AbortSignal, runId: string, after: number, signal: AbortSignal = over) =>
  followRun(database.store, runId, after, signal),
);

/** Appends events, seen all at once. */
const append = (runId: string, count: number): Promise<void> =>
  database.store.prisma.$transaction(async (tx) => {
    for (const samplesDone of range(1, count)) await appendEvent(tx, runId, "SCORING", { iteration: 0, samplesDone, samplesTotal: count });
  });

/** So many of the events to come, or all. */
async function take(events: AsyncGenerator<StoredEvent, void>, count = Infinity): Promise<number[]> {
  const sequences: number[] = [];
  while (sequences.length < count) {
    const { value, done } = await events.next();
    if (done) break;
    sequences.push(value.sequence);
  }
  return sequences;
}

/** A run with a follower that has had its first event, and so many more that the feed has let go of the first. */
async function pastTheWindow() {
  const { id } = await newRun(database.store);
  const slow = follow(id, 0);
  const first = take(slow, 1);
  await append(id, many);
  assert.deepEqual(await first, [1]);
  return { id, slow };
}

test("followers at the end, in the middle and far behind get every event once, in order", { timeout: 60_000 }, async () => {
  const { id, slow } = await pastTheWindow();
  const places = [0, 1, many - kept - 1, many - kept, many - kept + 1, many - 1, many];
  // All at once, through one feed; each reads on after what is there.
  const all = places.map((after) => take(follow(id, after)));
  await append(id, many);
  await cancelRun(database.store, id);
  const last = 2 * many + 1;
  for (const [i, after] of places.entries()) assert.deepEqual(await all[i], range(after + 1, last), `after ${after}`);
  assert.deepEqual(await take(slow), range(2, last));
});

test("the newest events are kept for all; what is farther back is read from the database", { timeout: 60_000 }, async () => {
  const { id, slow } = await pastTheWindow();
  assert.deepEqual(await take(slow, many - 1), range(2, many));
  await database.store.prisma.event.deleteMany({ where: { runId: id } });
  const oldestKept = many - kept;
  const near = follow(id, oldestKept);
  assert.deepEqual(await take(near, kept), range(oldestKept + 1, many));
  await near.return();
  const leave = new AbortController();
  const far = take(follow(id, oldestKept - 1, leave.signal));
  // Asked after the other, and answered by then.
  const last = follow(id, many - 1);
  assert.deepEqual(await take(last, 1), [many]);
  leave.abort();
  assert.deepEqual(await far, []);
  await slow.return();
});

test("a run that is over is followed to its end, and on when it goes on", { timeout: 60_000 }, async () => {
  const { store } = database;
  const { id } = await newRun(store);
  await append(id, 3);
  await cancelRun(store, id);
  const waits = follow(id, 0);
  assert.deepEqual(await take(waits, 1), [1]);
  assert.deepEqual(await take(follow(id, 2)), [3, 4]);
  assert.deepEqual(await take(follow(id, 4)), []);
  await store.prisma.run.update({ where: { id }, data: { status: "QUEUED", finishedAt: null } });
  const next = take(follow(id, 4), 2);
  await append(id, 2);
  assert.deepEqual(await next, [5, 6]);
  await waits.return();
});

test("a follower that hangs up or falls out leaves the others theirs", { timeout: 60_000 }, async () => {
  const { store } = database;
  const { id } = await newRun(store);
  const [stays, leaves] = [follow(id, 0), follow(id, 0)];
  const [one, other] = [take(stays, 1), take(leaves, 1)];
  await append(id, 1);
  assert.deepEqual([await one, await other], [[1], [1]]);
  await leaves.return();
  const next = take(stays, 1);
  await append(id, 1);
  assert.deepEqual(await next, [2]);
  const watches = store.listener["watches"] as Map<string, unknown>;
  assert.ok(watches.has(id), "the run is watched while somebody follows it");
  await stays.return();
  assert.ok(!watches.has(id));
});
