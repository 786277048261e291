import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import {
  calibrationDatasets,
  findDataset,
  findDatasets,
  findOverlap,
  listDatasets,
  type NewDataset,
  recordOverlap,
  registerDataset,
} from "../../src/store/datasets.ts";
import { createPruningRun } from "../../src/store/pruning-runs.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { newModel, sha256 } from "../support/records.ts";

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

const records = (of: string, name: string | null): NewDataset => {
  const what = { digest: sha256(of), form: "TEXT", recordCount: 1, sizeBytes: 6 } as const;
  return { name, description: name ? `called ${name}` : "", ...what };
};
const register = (of: string, name: string | null) => registerDataset(database.store, records(of, name));

test("the same records are one dataset under their first name; without a name they take the first that comes", async () => {
  const unnamed = await register("one", null);
  assert.deepEqual(await register("one", null), unnamed);
  assert.deepEqual((await listDatasets(database.store.prisma, { first: 9 })).items, []);
  const named = await register("one", "first");
  assert.deepEqual(named, { ...unnamed, name: "first", description: "called first" });
  for (const name of [null, "first", "second"]) assert.deepEqual(await register("one", name), named);
  assert.deepEqual((await listDatasets(database.store.prisma, { first: 9 })).items, [named]);

  await assert.rejects(register("two", "first"), { code: "DATASET_NAME_TAKEN" });
  assert.equal(await findDataset(database.store.prisma, { name: "second" }), null);
  const two = await register("two", null);
  await assert.rejects(register("two", "first"), { code: "DATASET_NAME_TAKEN" });
  assert.deepEqual(await findDatasets(database.store.prisma, [two.id, "00000000-0000-7000-8000-000000000000", named.id]), [
    two,
    null,
    named,
  ]);
});

test("an overlap that two work out at once is kept once, of one dataset with another", async () => {
  const { prisma } = database.store;
  const [one, other] = [await register("mine", null), await register("theirs", null)];
  const overlap = { ratio: 0.25, example: "a whale" };
  await recordOverlap(prisma, one.id, other.id, overlap);
  await recordOverlap(prisma, one.id, other.id, { ...overlap, example: "a ship" });
  assert.deepEqual(await findOverlap(prisma, one.id, other.id), overlap);
  assert.equal(await findOverlap(prisma, other.id, one.id), null);
});

test("a model was pruned with what it and its ancestors were made by, each once, and with nothing else", async () => {
  const { store } = database;
  const [early, late, unused] = [await register("early", null), await register("late", null), await register("unused", null)];
  const made = async (parentId: string, name: string, datasetId: string, result: boolean): Promise<string> => {
    const { id } = await createPruningRun(
      store,
      { modelId: parentId, method: "PIP", options: defaultPruningOptions, datasetId },
      async () => {},
    );
    const model = await newModel(store, name, parentId);
    if (result) await store.prisma.run.update({ where: { id }, data: { resultModelId: model.id } });
    return model.id;
  };
  const { id: root } = await newModel(store, "root");
  const child = await made(root, "child", early.id, true);
  const again = await made(child, "again", early.id, true);
  const last = await made(again, "last", late.id, true);
  await made(last, "never made", unused.id, false);
  const ids = async (model: string) => (await calibrationDatasets(store.prisma, model)).map((d) => d.id).sort();
  assert.deepEqual(await ids(root), []);
  assert.deepEqual(await ids(again), [early.id]);
  assert.deepEqual(await ids(last), [early.id, late.id].sort());
});
