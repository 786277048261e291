import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type TestApi, testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let modelId: string;
before(async () => {
  api = await testApi();
  modelId = (await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }')).registerModel.model.id;
});
after(() => api.close());

const start = `mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id options { restore } } } }`;
const small = { structureKinds: ["CHANNEL"], samples: 2, sequenceLength: 64, targetRatio: 0.02, structuresPerIteration: 0.5 };
const inputOf = (options: object, method = "MAGNITUDE_L2", dataset: object = { name: "literature-train" }) => ({
  input: { subject: { modelId }, method, dataset, options: { ...small, ...options } },
});
const run = `query($id: ID!) { pruningRun(id: $id) { status error { code message } resultModel { remarks } } }`;
const ended = (id: string) =>
  until("the run ends", async () => {
    const { pruningRun } = await api.data(run, { id });
    return ["QUEUED", "RUNNING"].includes(pruningRun.status) ? null : pruningRun;
  });

test("a run that restores says how far it is, and what came of it", async () => {
  const { startPruning } = await api.data(start, inputOf({ restore: "LEAST_SQUARES" }));
  assert.equal(startPruning.run.options.restore, "LEAST_SQUARES");
  const { id } = startPruning.run;
  const { status, error, resultModel } = await ended(id);
  assert.equal(status, "SUCCEEDED", JSON.stringify(error));
  assert.match(resultModel.remarks.join(), /least squares: of what its \d+ cut products gave/);
  const events: { productsDone: number }[] = [];
  const progress = `subscription($id: ID!) { runProgress(runId: $id, after: 0) { ... on PruningRestoring { productsDone productsTotal } } }`;
  for await (const { data } of api.socket().iterate<{ runProgress: { productsDone: number } }>({ query: progress, variables: { id } }))
    if (data && "productsDone" in data.runProgress) events.push(data.runProgress);
  assert.ok(events.length > 0);
});

test("what a method restores by itself is recorded", async () => {
  for (const [method, restore] of [
    ["FLAP", "BIAS"],
    ["MAGNITUDE_L2", "NONE"],
  ] as const) {
    const { startPruning } = await api.data(start, inputOf({}, method));
    assert.equal(startPruning.run.options.restore, restore);
  }
});

test("texts that are too few fail the run before it prunes; layers have nothing that is restored", async () => {
  const { startPruning } = await api.data(
    start,
    inputOf({ restore: "LEAST_SQUARES" }, "MAGNITUDE_L2", { texts: ["The white whale, and a calm sea."] }),
  );
  const { status, error } = await ended(startPruning.run.id);
  assert.deepEqual([status, error.code], ["FAILED", "CALIBRATION_TOO_SHORT"]);
  assert.equal(await api.services.store.prisma.iteration.count({ where: { runId: startPruning.run.id } }), 0);
  const { errors } = await api.ask(start, inputOf({ restore: "LEAST_SQUARES", structureKinds: ["LAYER"] }));
  assert.equal(errors?.[0]?.extensions["code"], "BAD_USER_INPUT");
  assert.equal(errors?.[0]?.extensions["argument"], "input.options.restore");
});
