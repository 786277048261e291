import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { compareRuns } from "../../src/store/comparison.ts";
import { createPruningRun, type PruningRunRecord } from "../../src/store/pruning-runs.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";
import { newDataset, newModel, sha256 } from "../support/records.ts";

let database: TestDatabase;
before(async () => {
  database = await testDatabase();
});
after(() => database.close());

/** An evaluation that has ended, of one way to measure. */
async function measured(modelId: string, way: string | null, status: "SUCCEEDED" | "FAILED" = "SUCCEEDED"): Promise<string> {
  const comparisonKey = way && sha256(way);
  const { id } = await database.store.prisma.run.create({ data: { kind: "EVALUATION", modelId, options: {}, comparisonKey, status } });
  return id;
}

/** A run of a model that made another, or none yet. */
async function ran(modelId: string, result: string | null): Promise<PruningRunRecord & { readonly made: string | null }> {
  const { store } = database;
  const { id: datasetId } = await newDataset(store);
  const run = await createPruningRun(store, { modelId, method: "PIP", options: defaultPruningOptions, datasetId }, async () => {});
  const made = result && (await newModel(store, result, modelId)).id;
  await store.prisma.run.update({ where: { id: run.id }, data: { resultModelId: made } });
  return { ...run, made };
}

test("ways to measure and runs come oldest first; of each model the newest evaluation of a way", async () => {
  const { prisma } = database.store;
  const { id: modelId } = await newModel(database.store, "compared");
  const [first, , third] = [await ran(modelId, "first"), await ran(modelId, null), await ran(modelId, "third")];
  const beside = await newModel(database.store, "beside", modelId);

  const before = await measured(modelId, "a");
  const second = await measured(first.made as string, "b");
  await measured(third.made as string, "c", "FAILED");
  await measured(third.made as string, null);
  await measured(beside.id, "d");
  // Measured anew: the way keeps its place, and the newer evaluation takes the older one's.
  const again = await measured(modelId, "a");
  const last = await measured(third.made as string, "a");

  const { model, columns, rows } = await compareRuns(prisma, modelId.toUpperCase(), null);
  assert.equal(model.id, modelId);
  assert.deepEqual(
    columns.map((column) => column.id),
    [before, second],
  );
  assert.deepEqual(
    rows.map(({ modelId: of, run, evaluations }) => [of, run?.id ?? null, evaluations.map((e) => e?.id ?? null)]),
    [
      [modelId, null, [again, null]],
      [first.made, first.id, [null, second]],
      [third.made, third.id, [last, null]],
    ],
  );
  const some = await compareRuns(prisma, modelId, [third.id, "nonsense"]);
  assert.deepEqual(
    some.rows.map(({ run }) => run?.id),
    [undefined, third.id],
  );
});
