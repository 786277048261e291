import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { insertModel, registerRootModel } from "../../src/store/models.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { inspected, newModel } from "../support/records.ts";

let api: TestApi;
let parentId: string;
let childId: string;
before(async () => {
  api = await testApi();
  ({ id: parentId } = await newModel(api.services.store, "parent"));
  ({ id: childId } = await newModel(api.services.store, "child", parentId));
});
after(() => api.close());

/** An evaluation that is over. */
async function evaluated(modelId: string, key: string, result: object): Promise<string> {
  const data = {
    kind: "EVALUATION",
    modelId,
    status: "SUCCEEDED" as const,
    options: {},
    comparisonKey: key.repeat(64),
    result: { ...result },
  };
  return (await api.services.store.prisma.run.create({ data })).id;
}

const query = `query($id: ID!) { evaluation(id: $id) { retained {
  accuracyRatio accuracyDifference accuracyDifferenceStandardError aboveChanceRatio aboveChanceRatioStandardError aboveChanceObstacle normalizedAccuracyRatio byteNormalizedAccuracyRatio perplexityRatio decodeSpeedRatio parent { id }
} } }`;
const none = {
  accuracyRatio: null,
  accuracyDifference: null,
  accuracyDifferenceStandardError: null,
  aboveChanceRatio: null,
  aboveChanceRatioStandardError: null,
  aboveChanceObstacle: null,
  normalizedAccuracyRatio: null,
  byteNormalizedAccuracyRatio: null,
  perplexityRatio: null,
  decodeSpeedRatio: null,
};

// Worked out by hand.
const rows = [
  {
    name: "of texts",
    parent: { nextTokenAccuracy: 0.5, perplexity: 20, decodeTokensPerSecond: 100 },
    child: { nextTokenAccuracy: 0.25, perplexity: 50, decodeTokensPerSecond: 125 },
    expected: { accuracyRatio: 0.5, perplexityRatio: 2.5, decodeSpeedRatio: 1.25 },
  },
  {
    name: "of items, each accuracy by its own",
    parent: { accuracy: 0.75, accuracyStandardError: 0.08, normalizedAccuracy: 0.5, byteNormalizedAccuracy: 0.8, chanceAccuracy: 0.25 },
    child: { accuracy: 0.375, accuracyStandardError: 0.06, normalizedAccuracy: 0.5, byteNormalizedAccuracy: 0.2, chanceAccuracy: 0.25 },
    expected: {
      accuracyRatio: 0.5,
      accuracyDifference: -0.375,
      accuracyDifferenceStandardError: 0.1,
      normalizedAccuracyRatio: 1,
      byteNormalizedAccuracyRatio: 0.25,
      aboveChanceRatio: 0.25,
      aboveChanceRatioStandardError: Math.sqrt(0.0036 + 0.0064 / 16) / 0.5,
    },
  },
  {
    name: "of a child below chance",
    parent: { accuracy: 0.75, accuracyStandardError: 0.03, chanceAccuracy: 0.5 },
    child: { accuracy: 0.25, accuracyStandardError: 0.04, chanceAccuracy: 0.5 },
    expected: {
      accuracyRatio: 1 / 3,
      accuracyDifference: -0.5,
      accuracyDifferenceStandardError: 0.05,
      aboveChanceRatio: 0,
      aboveChanceRatioStandardError: 0.2,
    },
  },
  {
    name: "of a parent no better than chance",
    parent: { accuracy: 0.5, accuracyStandardError: 0.25, chanceAccuracy: 0.25 },
    child: { accuracy: 0.75, chanceAccuracy: 0.25 },
    expected: {
      accuracyRatio: 1.5,
      accuracyDifference: 0.25,
      aboveChanceObstacle:
        "the model that it is held against answers 50.0% ± 25.0%, and guessing 25.0%: it is not above chance by two standard errors, so that there is nothing to be kept",
    },
  },
  {
    name: "of a parent that had nothing right: the rest is still told",
    parent: { nextTokenAccuracy: 0, perplexity: 2000 },
    child: { nextTokenAccuracy: 0, perplexity: 3000 },
    expected: { perplexityRatio: 1.5 },
  },
  {
    name: "of one from when bytes alone were counted",
    parent: { accuracy: 0.5, byteNormalizedAccuracy: 0.5 },
    child: { accuracy: 0.5, normalizedAccuracy: 0.5, byteNormalizedAccuracy: 0.25 },
    expected: { accuracyRatio: 1, accuracyDifference: 0, byteNormalizedAccuracyRatio: 0.5 },
  },
  {
    name: "of items of which it is known that each had them right",
    parent: { accuracy: 0.75, accuracyStandardError: 0.25, chanceAccuracy: 0.125, itemCount: 4, correctItems: "Dg==" },
    child: { accuracy: 0.5, accuracyStandardError: Math.sqrt(1 / 12), chanceAccuracy: 0.125, itemCount: 4, correctItems: "DA==" },
    expected: {
      accuracyRatio: 2 / 3,
      accuracyDifference: -0.25,
      // Of the differences 0, -1, 0, 0: the variance is 1 / 4, over four items.
      accuracyDifferenceStandardError: 0.25,
      aboveChanceRatio: 0.6,
      aboveChanceRatioStandardError: Math.sqrt(1 / 12 + 0.36 / 16 - 1.2 / 24) / 0.625,
    },
  },
];
for (const [i, { name, parent, child, expected }] of rows.entries())
  test(`what is retained ${name}`, async () => {
    const key = "abcdefg"[i] as string;
    const parentEvaluation = await evaluated(parentId, key, parent);
    const own = await evaluated(childId, key, child);
    const { evaluation } = await api.data(query, { id: own });
    // The last bits of roots are not by hand.
    const rounded = (found: object) => JSON.parse(JSON.stringify(found, (_, v) => (typeof v === "number" ? Number(v.toFixed(12)) : v)));
    assert.deepEqual(rounded(evaluation.retained), rounded({ ...none, ...expected, parent: { id: parentEvaluation } }));
    assert.equal((await api.data(query, { id: parentEvaluation })).evaluation.retained, null, "a registered model has no parent");
  });

test("a healed model is held against the model that was pruned, not against the pruned one", async () => {
  const { store } = api.services;
  const whole = await registerRootModel(store, inspected("whole", 2000), "whole");
  const [pruned, healed] = [inspected("pruned", 1500), inspected("healed", 1500)];
  const cut = await store.prisma.$transaction((tx) => insertModel(tx, pruned, "cut", whole.id));
  const better = await store.prisma.$transaction((tx) => insertModel(tx, healed, "better", cut.id));
  const own = await evaluated(better.id, "h", { nextTokenAccuracy: 0.4 });
  const { evaluation: before } = await api.data(query, { id: own });
  assert.equal(before.retained, null, "what it is held against has not been measured");
  await evaluated(cut.id, "h", { nextTokenAccuracy: 0.3 });
  const against = await evaluated(whole.id, "h", { nextTokenAccuracy: 0.5 });
  const { evaluation } = await api.data(query, { id: own });
  assert.deepEqual(evaluation.retained, { ...none, accuracyRatio: 0.8, parent: { id: against } });
});
