import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { after, before, test } from "node:test";
import { type ChangeBatch, followChanges } from "../../src/store/change-feed.ts";
import { deleteModel, updateModel } from "../../src/store/models.ts";
import { cancelRun, deleteRun } from "../../src/store/runs.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { followers } from "../support/followers.ts";
import { newModel, newRun } from "../support/records.ts";

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

const follow = followers((over, cursor: string | null = null) => followChanges(database.store, cursor, over));

/** The first message, which says where one stands. */
async function begun(
  cursor: string | null = null,
): Promise<{ readonly changes: AsyncGenerator<ChangeBatch, void>; readonly cursor: string }> {
  const changes = follow(cursor);
  const { value } = await changes.next();
  assert.deepEqual(value?.changes, []);
  return { changes, cursor: value?.cursor as string };
}

/** Takes messages until what was told of includes all that is named. */
async function told(
  changes: AsyncGenerator<ChangeBatch, void>,
  ids: readonly string[],
): Promise<{ subjects: Map<string, string>; cursor: string }> {
  const subjects = new Map<string, string>();
  for (let cursor = ""; ; ) {
    if (ids.every((id) => subjects.has(id))) return { subjects, cursor };
    const { value, done } = await changes.next();
    assert.ok(!done);
    cursor = value.cursor;
    for (const { id, subject } of value.changes) subjects.set(id, subject);
  }
}

test("what is made, changed and deleted is told of, as it is then", { timeout: 60_000 }, async () => {
  const { store } = database;
  const { changes } = await begun();
  const run = await newRun(store);
  const first = await told(changes, [run.id, run.modelId as string]);
  assert.deepEqual([first.subjects.get(run.id), first.subjects.get(run.modelId as string)], ["RUN", "MODEL"]);
  await updateModel(store.prisma, run.modelId as string, { name: "another" });
  const { value } = await changes.next();
  assert.deepEqual(
    value?.changes.map(({ record }) => (record as { name?: string } | null)?.name),
    ["another"],
  );
  await cancelRun(store, run.id);
  assert.equal((await told(changes, [run.id])).subjects.get(run.id), "RUN");
  await deleteRun(store, run.id);
  assert.equal((await told(changes, [run.id])).subjects.get(run.id), "DELETION");
  await deleteModel(store, run.modelId as string, false);
  assert.equal((await told(changes, [run.modelId as string])).subjects.get(run.modelId as string), "DELETION");
});

test("a transaction that began earlier and ends later is told of to all, whatever their cursors", { timeout: 60_000 }, async () => {
  const { store } = database;
  const [early, late] = [await newModel(store, "early"), await newModel(store, "late")];
  const { changes, cursor } = await begun();
  const second = await begun();
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  let begin = () => {};
  const hasBegun = new Promise<void>((resolve) => (begin = resolve));
  const slow = store.prisma.$transaction(
    async (tx) => {
      await updateModel(tx, early.id, { note: "began first" });
      begin();
      await held;
    },
    { timeout: 30_000 },
  );
  await hasBegun;
  await updateModel(store.prisma, late.id, { note: "ended first" });
  // One that comes back now goes on from a place before both.
  const third = await begun((await begun(cursor)).cursor);
  release();
  await slow;
  for (const follower of [changes, second.changes, third.changes]) {
    const { subjects } = await told(follower, [early.id, late.id]);
    assert.deepEqual([...subjects.keys()].sort(), [early.id, late.id].sort());
  }
});

test("who comes back with a cursor gets each once, however far behind", { timeout: 60_000 }, async () => {
  const { store } = database;
  const { changes, cursor } = await begun();
  const made: string[] = [];
  for (let i = 0; i < 3; i++)
    await store.prisma.$transaction(async (tx) => {
      const rows = Array.from({ length: 130 }, (_, j) => ({
        name: `many ${i} ${j}`,
        digest: `${i}${j}`.padEnd(64, "0"),
        sizeBytes: 1,
        parameterCount: 1,
        opset: 21,
        operators: {},
        architecture: {},
      }));
      made.push(...(await tx.model.createManyAndReturn({ data: rows, select: { id: true } })).map(({ id }) => id));
    });
  const near = await told(changes, made);
  assert.equal(near.subjects.size, made.length);
  // The feed has let go of the first by now; a page may end within a transaction.
  let at = cursor;
  const seen: string[] = [];
  while (seen.length < made.length) {
    const again = (await begun(at)).changes;
    const { value } = await again.next();
    assert.ok(value);
    at = value.cursor;
    seen.push(...value.changes.map(({ id }) => id));
    await again.return();
  }
  assert.deepEqual(seen.sort(), made.sort());
});

test("followers share one reading, and leave nothing behind", { timeout: 60_000 }, async () => {
  const { store } = database;
  const leave = new AbortController();
  setMaxListeners(0, leave.signal);
  let queries = 0;
  const counting = new Proxy(store.prisma, {
    get: (target, name) => {
      if (name === "$queryRaw") queries++;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const own = { ...store, prisma: counting };
  const followers = Array.from({ length: 50 }, () => followChanges(own, null, leave.signal));
  await Promise.all(followers.map((follower) => follower.next()));
  const before = queries;
  const model = await newModel(store, "for all");
  await Promise.all(followers.map((follower) => told(follower, [model.id])));
  assert.ok(queries - before < 20, `${queries - before} queries for 50 followers`);
  const ends = followers.map((follower) => follower.next());
  leave.abort();
  for (const end of await Promise.all(ends)) assert.equal(end.done, true);
  assert.ok(!(store.listener["watches"] as Map<string, unknown>).has("changes"));
});

test("a cursor that is none, or of another database, is refused", async () => {
  for (const cursor of ["", "x", "1.2", "999999999999999"]) await assert.rejects(follow(cursor).next(), { code: "BAD_CURSOR" }, cursor);
});
