import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { seededRandom } from "../../src/random.ts";
import {
  insertScores,
  listScores,
  type ScoreFilter,
  type ScoreOrder,
  type StructureScore,
  scoreCursor,
  totalScores,
} from "../../src/store/scores.ts";
import type { StructureKind } from "../../src/structures/structure.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { newRun } from "../support/records.ts";

let database: TestDatabase;
let runId: string;
const all: StructureScore[] = [];
const seed = 7;

before(async () => {
  database = await testDatabase();
  runId = (await newRun(database.store)).id;
  const random = seededRandom(seed);
  for (let iteration = 0; iteration < 4; iteration++) {
    const tables = (["LAYER", "ATTENTION", "MLP"] as StructureKind[]).map((kind) => {
      const indexes = Array.from({ length: 12 }, (_, i) => i).filter((i) => i % 4 !== iteration);
      // Ties, so that the order must fall back on position; and doubles with all their digits.
      return { kind, indexes, scores: indexes.map(() => (random() < 0.5 ? 0.125 : random())) };
    });
    await insertScores(database.store.prisma, runId, iteration, tables);
    for (const { kind, indexes, scores } of tables)
      all.push(...indexes.map((index, i) => ({ iteration, kind, index, score: scores[i] as number })));
  }
});
after(() => database.close());

const columns = {
  POSITION: ["iteration", "kind", "index"],
  SCORE_ASCENDING: ["score", "iteration", "kind", "index"],
  SCORE_DESCENDING: ["score", "iteration", "kind", "index"],
} as const satisfies Record<ScoreOrder, readonly (keyof StructureScore)[]>;

/** The same order, made here. */
function sorted(rows: readonly StructureScore[], order: ScoreOrder): StructureScore[] {
  const sign = order === "SCORE_DESCENDING" ? -1 : 1;
  return [...rows].sort((a, b) => {
    const column = columns[order].find((c) => a[c] !== b[c]);
    return column === undefined ? 0 : a[column] < b[column] ? -sign : sign;
  });
}

async function readAll(order: ScoreOrder, first: number, filter?: ScoreFilter): Promise<StructureScore[]> {
  const rows: StructureScore[] = [];
  for (;;) {
    const last = rows.at(-1);
    const [page] = await listScores(database.store.prisma, [runId], { first, after: last && scoreCursor(last, order) }, order, filter);
    assert.ok(page);
    rows.push(...page.items);
    if (!page.hasNextPage) return rows;
    assert.equal(page.items.length, first);
  }
}

async function readAllBackward(order: ScoreOrder, last: number, filter?: ScoreFilter): Promise<StructureScore[]> {
  const rows: StructureScore[] = [];
  for (;;) {
    const [first] = rows;
    const [page] = await listScores(database.store.prisma, [runId], { last, before: first && scoreCursor(first, order) }, order, filter);
    assert.ok(page);
    assert.equal(page.hasNextPage, first !== undefined);
    rows.unshift(...page.items);
    if (!page.hasPreviousPage) return rows;
    assert.equal(page.items.length, last);
  }
}

for (const order of Object.keys(columns) as ScoreOrder[]) {
  for (const first of [1, 7, 1000]) {
    test(`pages of ${first} in order ${order} are all scores, each once (seed ${seed})`, async () => {
      assert.deepEqual(await readAll(order, first), sorted(all, order));
      assert.deepEqual(await readAllBackward(order, first), sorted(all, order));
    });
  }
  test(`filters in order ${order} (seed ${seed})`, async () => {
    const filter = { iterations: [1, 3], kinds: ["MLP", "LAYER"] as StructureKind[] };
    const wanted = all.filter((s) => filter.iterations.includes(s.iteration) && filter.kinds.includes(s.kind));
    assert.deepEqual(await readAll(order, 10, filter), sorted(wanted, order));
    assert.deepEqual(await readAllBackward(order, 10, filter), sorted(wanted, order));
    assert.deepEqual(await totalScores(database.store.prisma, [runId, "nonsense"], filter), [wanted.length, 0]);
  });
}

test("a cursor of another order, or none at all, is refused", async () => {
  const [score] = all as [StructureScore];
  for (const after of [scoreCursor(score, "SCORE_ASCENDING"), "nonsense", "", Buffer.from("null").toString("base64url")])
    await assert.rejects(listScores(database.store.prisma, [runId], { first: 1, after }, "POSITION"), { code: "BAD_CURSOR" });
});

test("a run that is not there has no scores", async () => {
  assert.deepEqual(await listScores(database.store.prisma, ["nonsense"], { first: 5 }), [
    { items: [], hasNextPage: false, hasPreviousPage: false },
  ]);
});

test("a thousand equal scores, in many arrays, are paged each once in every order", async () => {
  const { id } = await newRun(database.store);
  const count = 1000;
  const indexes = Array.from({ length: count }, (_, i) => i);
  for (const iteration of [0, 1])
    await insertScores(database.store.prisma, id, iteration, [{ kind: "MLP", indexes, scores: indexes.map((i) => (i < 900 ? 0.5 : i)) }]);
  for (const order of Object.keys(columns) as ScoreOrder[]) {
    const seen: StructureScore[] = [];
    for (let after: string | undefined; ; ) {
      const [page] = await listScores(database.store.prisma, [id], { first: 70, after: after ?? null }, order);
      assert.ok(page);
      seen.push(...page.items);
      if (!page.hasNextPage) break;
      after = scoreCursor(page.items.at(-1) as StructureScore, order);
    }
    assert.equal(seen.length, 2 * count);
    assert.deepEqual(seen, sorted(seen, order));
    assert.equal(new Set(seen.map((s) => `${s.iteration} ${s.index}`)).size, 2 * count);
  }
});

test("pages as long as an array, and one more or less, that begin anywhere in one, say whether there is more", async () => {
  const { id } = await newRun(database.store);
  const indexes = Array.from({ length: 300 }, (_, i) => i);
  await insertScores(database.store.prisma, id, 0, [{ kind: "MLP", indexes, scores: indexes }]);
  for (const [order, step] of [
    ["SCORE_ASCENDING", 1],
    ["SCORE_DESCENDING", -1],
    ["POSITION", 1],
  ] as const)
    for (const place of [0, 1, 126, 127, 128, 170, 171, 172])
      for (const first of [1, 127, 128, 129]) {
        const index = step > 0 ? place : indexes.length - 1 - place;
        const after = scoreCursor({ iteration: 0, kind: "MLP", index, score: index }, order);
        const [page] = await listScores(database.store.prisma, [id], { first, after }, order);
        const left = indexes.length - 1 - place;
        const expected = Array.from({ length: Math.min(first, left) }, (_, i) => index + step * (i + 1));
        assert.deepEqual(
          page?.items.map((s) => s.index),
          expected,
          `${first} in order ${order} after ${index}`,
        );
        assert.equal(page?.hasNextPage, left > first, `${first} in order ${order} after ${index}`);
        const [behind] = await listScores(database.store.prisma, [id], { last: first, before: after }, order);
        const passed = Array.from({ length: Math.min(first, place) }, (_, i) => index - step * (i + 1)).reverse();
        assert.deepEqual([behind?.items.map((s) => s.index), behind?.hasPreviousPage], [passed, place > first], `before ${index}`);
      }
});

test("the same page of many runs is one answer in their order", async () => {
  const other = (await newRun(database.store)).id;
  const pages = await listScores(database.store.prisma, [other, runId, runId.toUpperCase()], { first: 3 }, "SCORE_ASCENDING");
  const expected = sorted(all, "SCORE_ASCENDING").slice(0, 3);
  assert.deepEqual(
    pages.map((page) => page.items),
    [[], expected, expected],
  );
});
