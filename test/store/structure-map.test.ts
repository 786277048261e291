import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { seededRandom } from "../../src/random.ts";
import { insertModel } from "../../src/store/models.ts";
import { createPruningRun } from "../../src/store/pruning-runs.ts";
import { insertScores } from "../../src/store/scores.ts";
import { structureMap } from "../../src/store/structure-map.ts";
import type { StructureGroup, StructureId, StructureKind } from "../../src/structures/structure.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { inspected, newDataset } from "../support/records.ts";

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

const seed = 11;

/** Layers with two attentions each, and channels of unlike number. */
function groupsOf(channels: readonly number[]): StructureGroup[] {
  let next = 0;
  return channels.flatMap((count, layer) => {
    const group = (kind: StructureKind, index: number, many: number, parameters: string[]): StructureGroup => ({
      kind,
      index,
      count: many,
      layer,
      parameters,
      parameterCount: 10,
    });
    const [self, cross, mlp] = [`${layer}.self`, `${layer}.cross`, `${layer}.mlp`] as const;
    next += count;
    return [
      group("LAYER", layer, 1, [self, cross, mlp]),
      group("ATTENTION", 2 * layer, 1, [self]),
      group("ATTENTION", 2 * layer + 1, 1, [cross]),
      group("MLP", layer, 1, [mlp]),
      group("HEAD", 8 * layer, 4, [self]),
      group("HEAD", 8 * layer + 4, 4, [cross]),
      group("CHANNEL", next - count, count, [mlp]),
    ];
  });
}

async function runOf(structures: readonly StructureGroup[]): Promise<{ id: string; modelId: string }> {
  const { store } = database;
  const described = { ...inspected("mapped", 1_000_000), structures };
  const { id: modelId } = await store.prisma.$transaction((tx) => insertModel(tx, described, "mapped", null));
  const { id: datasetId } = await newDataset(store);
  const request = { modelId, method: "PIP", options: defaultPruningOptions, datasetId };
  const { id } = await createPruningRun(store, request, async () => {});
  return { id, modelId };
}

async function iterate(
  runId: string,
  index: number,
  removed: readonly StructureId[],
  kind: StructureKind,
  scores: ReadonlyMap<number, number>,
): Promise<void> {
  const { prisma } = database.store;
  await insertScores(prisma, runId, index, [{ kind, indexes: [...scores.keys()], scores: [...scores.values()] }]);
  const rows = removed.map((each) => ({ ...each, score: 0, parameterCount: 10 }));
  await prisma.iteration.create({ data: { runId, index, removed: rows, parameterCount: 1n, removedRatio: 0, durationMs: 1 } });
}

test("cells hold the means, the lowest and the number gone of their structures", async (t) => {
  t.diagnostic(`seed ${seed}`);
  const random = seededRandom(seed);
  const counts = [10, 7, 1];
  const run = await runOf(groupsOf(counts));
  const all = Array.from({ length: 18 }, (_, i) => i);
  const first = new Map(all.map((i) => [i, random()]));
  const gone = [3, 4, 9, 17];
  const second = new Map(all.filter((i) => !gone.includes(i)).map((i) => [i, random()]));
  const removed = gone.map((index) => ({ kind: "CHANNEL" as const, index }));
  await iterate(run.id, 0, removed, "CHANNEL", first);
  await iterate(run.id, 1, [{ kind: "CHANNEL", index: 5 }], "CHANNEL", second);
  // As an earlier version left what was no number.
  await database.store.prisma.$executeRaw`UPDATE "StructureScores" SET scores[1] = 'NaN' WHERE "runId" = ${run.id}::uuid AND iteration = 1`;
  second.set(0, Number.NaN);

  for (const [iteration, scores, out] of [
    [0, first, gone],
    [1, second, [...gone, 5]],
  ] as const) {
    for (const cells of [1, 3, 4, 512]) {
      const map = await structureMap(database.store.prisma, run, { kind: "CHANNEL", iteration, cells });
      let start = 0;
      const wanted = counts.map((count, layer) => {
        const cellSize = Math.ceil(count / cells);
        const places = Array.from({ length: Math.ceil(count / cellSize) }, (_, cell) =>
          all.slice(start + cell * cellSize, Math.min(start + count, start + (cell + 1) * cellSize)),
        );
        const index = start;
        start += count;
        const numbers = places.map((place) => place.map((i) => scores.get(i) ?? Number.NaN).filter((score) => !Number.isNaN(score)));
        return {
          layer,
          index,
          count,
          cellSize,
          scores: numbers.map((each) => (each.length > 0 ? each.reduce((sum, score) => sum + score, 0) / each.length : null)),
          lowestScores: numbers.map((each) => (each.length > 0 ? Math.min(...each) : null)),
          gone: places.map((place) => place.filter((i) => out.some((index) => index === i)).length),
          goneSince: places.map((place) =>
            place.some((i) => gone.includes(i)) ? 0 : place.some((i) => out.some((index) => index === i)) ? 1 : null,
          ),
        };
      });
      const close = (value: number | null) => (value === null ? null : value.toPrecision(12));
      const rounded = (rows: typeof wanted) => rows.map((row) => ({ ...row, scores: row.scores.map(close) }));
      assert.deepEqual(rounded(map?.rows as typeof wanted), rounded(wanted));
    }
  }
  const newest = await structureMap(database.store.prisma, run, { kind: "CHANNEL", iteration: null, cells: 8 });
  assert.equal(newest?.iteration, 1);
  assert.equal(await structureMap(database.store.prisma, run, { kind: "CHANNEL", iteration: 2, cells: 8 }), null);
});

test("what went with its layer or branch is gone, and what lies beside it is not", async () => {
  const run = await runOf(groupsOf([4, 4, 4]));
  const removed: StructureId[] = [
    { kind: "LAYER", index: 0 },
    { kind: "ATTENTION", index: 3 },
    { kind: "MLP", index: 2 },
  ];
  // One channel of the layer, and one head of an attention, went before.
  const before: StructureId[] = [
    { kind: "CHANNEL", index: 1 },
    { kind: "HEAD", index: 13 },
  ];
  await iterate(run.id, 0, before, "HEAD", new Map([[1, 0.5]]));
  await iterate(run.id, 1, removed.slice(0, 1), "LAYER", new Map([[1, 0.5]]));
  await iterate(run.id, 2, removed.slice(1), "LAYER", new Map([[1, 0.5]]));
  const rowsOf = async (kind: StructureKind) =>
    (await structureMap(database.store.prisma, run, { kind, iteration: null, cells: 1 }))?.rows ?? [];
  const goneOf = async (kind: StructureKind) => (await rowsOf(kind)).map(({ gone }) => gone[0]);
  const sinceOf = async (kind: StructureKind) => (await rowsOf(kind)).map(({ goneSince }) => goneSince[0]);
  assert.deepEqual(await goneOf("LAYER"), [1, 0, 0]);
  assert.deepEqual(await goneOf("ATTENTION"), [1, 1, 0, 1, 0, 0]);
  assert.deepEqual(await goneOf("MLP"), [1, 0, 1]);
  assert.deepEqual(await goneOf("HEAD"), [4, 4, 0, 4, 0, 0]);
  assert.deepEqual(await goneOf("CHANNEL"), [4, 0, 4]);
  assert.deepEqual(await sinceOf("LAYER"), [1, null, null]);
  assert.deepEqual(await sinceOf("ATTENTION"), [1, 1, null, 2, null, null]);
  assert.deepEqual(await sinceOf("HEAD"), [1, 1, null, 0, null, null]);
  assert.deepEqual(await sinceOf("CHANNEL"), [0, null, 2]);
});

test("channels of an expert that went are gone with it", async () => {
  const group = (kind: StructureKind, index: number, count: number, more: Partial<StructureGroup> = {}): StructureGroup => ({
    ...{ kind, index, count, layer: 0, parameters: [`${kind}.${index}`], parameterCount: 10, ...more },
  });
  const channels = [0, 1, 2].map((expert) => group("CHANNEL", 4 * expert, 4, { expert }));
  const run = await runOf([
    group("LAYER", 0, 1),
    group("MLP", 0, 1),
    group("EXPERT", 0, 3, { leastLeft: 1 }),
    ...channels,
    group("CHANNEL", 12, 8),
  ]);
  await iterate(run.id, 0, [{ kind: "CHANNEL", index: 1 }], "CHANNEL", new Map([[1, 0.5]]));
  await iterate(run.id, 1, [{ kind: "EXPERT", index: 2 }], "EXPERT", new Map([[2, 0.5]]));
  const map = await structureMap(database.store.prisma, run, { kind: "CHANNEL", iteration: null, cells: 1 });
  assert.deepEqual(
    map?.rows.map(({ gone, goneSince }) => [gone[0], goneSince[0]]),
    [
      [1, 0],
      [0, null],
      [4, 1],
      [0, null],
    ],
  );
  const before = await structureMap(database.store.prisma, run, { kind: "CHANNEL", iteration: 0, cells: 1 });
  assert.deepEqual(
    before?.rows.map(({ gone }) => gone[0]),
    [1, 0, 0, 0],
  );
});

test("before the first iteration there is a map without scores", async () => {
  const run = await runOf(groupsOf([5]));
  const map = await structureMap(database.store.prisma, run, { kind: "CHANNEL", iteration: null, cells: 2 });
  const row = {
    layer: 0,
    index: 0,
    count: 5,
    cellSize: 3,
    scores: [null, null],
    lowestScores: [null, null],
    gone: [0, 0],
    goneSince: [null, null],
  };
  assert.deepEqual(map, { kind: "CHANNEL", iteration: null, rows: [row] });
});

test("the map of 400,000 channels is read in well under a second", async (t) => {
  const [layers, width] = [40, 10_000];
  const run = await runOf(groupsOf(Array.from({ length: layers }, () => width)));
  // As the iteration of such a run is stored, without what sending the numbers takes.
  await database.store.prisma.$executeRaw`
    INSERT INTO "StructureScores" ("runId", iteration, kind, "lastIndex", indexes, scores)
    SELECT ${run.id}::uuid, 0, 'CHANNEL', max(i), array_agg(i ORDER BY i), array_agg(abs(sin(i)) ORDER BY i)
    FROM generate_series(0, ${layers * width - 1}::int) AS i GROUP BY i / 128`;
  const removed = Array.from({ length: 8000 }, (_, i) => ({ kind: "CHANNEL" as const, index: i * 50 }));
  await iterate(run.id, 0, removed, "LAYER", new Map());
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    const start = performance.now();
    const map = await structureMap(database.store.prisma, run, { kind: "CHANNEL", iteration: 0, cells: 128 });
    times.push(performance.now() - start);
    assert.equal(map?.rows.length, layers);
    assert.equal(
      map?.rows.reduce((sum, { gone }) => sum + gone.reduce((a, b) => a + b, 0), 0),
      8000,
    );
  }
  const best = Math.min(...times);
  t.diagnostic(`${times.map((time) => time.toFixed(0)).join(", ")} ms`);
  assert.ok(best < 1000, `${best} ms`);
});
