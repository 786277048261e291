import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { insertModel } from "../../src/store/models.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { inspected } from "../support/records.ts";

let api: TestApi;
let modelId: string;
before(async () => {
  api = await testApi();
  const model = inspected("model");
  const channels = model.structures.map((s) => ({ ...s, kind: s.kind === "MLP" ? ("CHANNEL" as const) : s.kind, count: 4 }));
  ({ id: modelId } = await api.services.store.prisma.$transaction((tx) =>
    insertModel(tx, { ...model, structures: channels }, "model", null),
  ));
});
after(() => api.close());

const start = "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { options { normalization } } } }";
const rows = [
  { method: "PIP", asked: {}, recorded: "SQRT_PARAMETER_COUNT" },
  { method: "PIP", asked: { normalization: null }, recorded: "SQRT_PARAMETER_COUNT" },
  { method: "PIP", asked: { normalization: "KIND_MEAN" }, recorded: "KIND_MEAN" },
  { method: "FLAP", asked: {}, recorded: "NONE" },
  { method: "WANDA_SP", asked: {}, recorded: "NONE" },
  { method: "WANDA_SP", asked: { normalization: "KIND_MEAN" }, recorded: "KIND_MEAN" },
  { method: "POLICY_GRADIENT", asked: {}, recorded: "NONE" },
  { method: "RANDOM", asked: {}, recorded: "NONE" },
  { method: "FLAP", asked: { normalization: "NONE" }, recorded: "NONE" },
];
for (const { method, asked, recorded } of rows)
  test(`${method} asked ${JSON.stringify(asked)} is recorded to divide by ${recorded}`, async () => {
    const input = { subject: { modelId }, method, dataset: { texts: ["A whale."] }, options: { structureKinds: ["CHANNEL"], ...asked } };
    const {
      startPruning: { run },
    } = await api.data(start, { input });
    assert.deepEqual(run.options, { normalization: recorded });
  });
