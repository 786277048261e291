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

const prune = "mutation($input: StartPruningInput!) { it: startPruning(input: $input) { run { id model { id } resultOf { id } } } }";
const evaluate =
  "mutation($input: StartEvaluationInput!) { it: startEvaluation(input: $input) { run { id model { id } resultOf { id } comparisonKey } } }";
const calibration = { name: "literature-train" };
const heldOut = { name: "literature-heldout" };
const small = { samples: 4, sequenceLength: 32, targetRatio: 0.1 };

test("a model is pruned, pruned on and measured, all asked for at once", async () => {
  const {
    it: { run: first },
  } = await api.data(prune, { input: { subject: { modelId }, dataset: calibration, options: small } });
  const subject = { resultOf: first.id };
  const {
    it: { run: second },
  } = await api.data(prune, { input: { subject, dataset: calibration, options: small } });
  const measured = { subject: { resultOf: second.id }, dataset: heldOut, sequenceLength: 32, maxTokens: 64, measureSpeed: false };
  const {
    it: { run: third },
  } = await api.data(evaluate, { input: measured });
  assert.deepEqual([first.resultOf, second.resultOf.id, third.resultOf.id], [null, first.id, second.id]);
  const query =
    "query($id: ID!) { run(id: $id) { status error { code message } model { id parent { id } } resultModel { id parameterCount } } }";
  const ended = async (id: string) => {
    const run = await until("the run ends", async () => {
      const { run: found } = await api.data(query, { id });
      return ["QUEUED", "RUNNING"].includes(found.status) ? null : found;
    });
    assert.equal(run.status, "SUCCEEDED", JSON.stringify(run.error));
    return run;
  };
  const [one, two, three] = [await ended(first.id), await ended(second.id), await ended(third.id)];
  assert.deepEqual([two.model.id, three.model.id], [one.resultModel.id, two.resultModel.id]);
  assert.equal(two.model.parent.id, modelId);
  assert.ok(two.resultModel.parameterCount < one.resultModel.parameterCount);
  const { evaluation } = await api.data("query($id: ID!) { evaluation(id: $id) { comparisonKey result { perplexity } } }", {
    id: third.id,
  });
  assert.match(evaluation.comparisonKey, /^[0-9a-f]{64}$/);
  assert.ok(evaluation.result.perplexity > 1);
  assert.deepEqual(
    (await api.services.store.prisma.event.findMany({ where: { runId: third.id }, orderBy: { sequence: "asc" } }))
      .map((e) => e.type)
      .slice(0, 2),
    ["QUEUED", "STARTED"],
  );
});

test("a run that waits fails with the one it waits for, for a reason of its own", async () => {
  // The worker is busy until there is one that waits.
  const {
    it: { run: busy },
  } = await api.data(prune, { input: { subject: { modelId }, dataset: calibration, options: { ...small, samples: 512 } } });
  const unreachable = { ...small, protectFirst: 11, targetRatio: 0.5 };
  const {
    it: { run: failing },
  } = await api.data(prune, { input: { subject: { modelId }, dataset: calibration, options: unreachable } });
  const {
    it: { run: waiting },
  } = await api.data(evaluate, { input: { subject: { resultOf: failing.id }, dataset: heldOut } });
  await api.data(`mutation { cancelRun(input: { id: "${busy.id}" }) { run { id } } }`);
  const query = "query($id: ID!) { evaluation(id: $id) { status error { code } model { id } queuePosition } }";
  const evaluation = await until("it has failed", async () => {
    const found = (await api.data(query, { id: waiting.id })).evaluation;
    return found.status === "QUEUED" ? null : found;
  });
  assert.deepEqual(evaluation, { status: "FAILED", error: { code: "SUBJECT_FAILED" }, model: null, queuePosition: null });
  const { errors } = await api.ask(prune, { input: { subject: { resultOf: failing.id }, dataset: calibration } });
  assert.deepEqual(
    [errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]],
    ["RUN_WITHOUT_RESULT", "input.subject.resultOf"],
  );
});

test("what a run is to work on is named once, and must come to be; what it will be pruned with is not what it is measured on", async () => {
  const {
    it: { run: pruning },
  } = await api.data(prune, { input: { subject: { modelId }, dataset: calibration, options: { ...small, samples: 512 } } });
  const subject = { resultOf: pruning.id };
  const {
    it: { run: evaluation },
  } = await api.data(evaluate, { input: { subject, dataset: heldOut } });
  for (const [query, input, code, argument] of [
    [prune, { subject: {}, dataset: calibration }, "BAD_USER_INPUT", "input.subject"],
    [evaluate, { subject: { modelId, ...subject }, dataset: heldOut }, "BAD_USER_INPUT", "input.subject"],
    [evaluate, { subject: { resultOf: evaluation.id }, dataset: heldOut }, "BAD_USER_INPUT", "input.subject.resultOf"],
    [evaluate, { subject: { resultOf: modelId }, dataset: heldOut }, "RUN_NOT_FOUND", "input.subject.resultOf"],
    [prune, { subject, from: pruning.id, dataset: calibration }, "BAD_USER_INPUT", "input.from"],
    [evaluate, { subject, dataset: calibration }, "DATASET_OVERLAP", "input.dataset"],
  ] as const) {
    const { errors } = await api.ask(query, { input });
    assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], [code, argument], JSON.stringify(input));
  }
  await api.data(`mutation { cancelRun(input: { id: "${pruning.id}" }) { run { id } } }`);
  const { run } = await api.data("query($id: ID!) { run(id: $id) { status resultOf { status } } }", { id: evaluation.id });
  assert.deepEqual(run, { status: "CANCELLED", resultOf: { status: "CANCELLED" } });
});
