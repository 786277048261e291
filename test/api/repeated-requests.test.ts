import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ahabFolder } from "../support/ahab.ts";
import { type TestApi, testApi } from "../support/api.ts";

let api: TestApi;
let modelRoot: string;
let modelId: string;
before(async () => {
  modelRoot = await mkdtemp(join(tmpdir(), "espalier-models-"));
  await cp(ahabFolder, join(modelRoot, "ahab"), { recursive: true });
  api = await testApi({ worker: false, modelRoot });
  modelId = (await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }')).registerModel.model.id;
});
after(async () => {
  await api.close();
  await rm(modelRoot, { recursive: true });
});

const start =
  "mutation ($input: StartPruningInput!) { startPruning(input: $input) { run { id status priority queuePosition from { id } } } }";
const input = (more: object = {}) => ({ subject: { modelId }, dataset: { name: "literature-train" }, options: { samples: 4 }, ...more });

test("a request repeated with its key gives the run that the first one started, even at once; a key asked otherwise is refused", async () => {
  const keyed = input({ idempotencyKey: "one" });
  const answers = await Promise.all([1, 2, 3, 4].map(() => api.data(start, { input: keyed })));
  const ids = new Set(answers.map(({ startPruning }) => startPruning.run.id));
  assert.equal(ids.size, 1);
  // A default that is spelt out is the same request.
  const again = await api.data(start, { input: { ...keyed, method: "PIP", options: { samples: 4, targetRatio: 0.2 } } });
  assert.ok(ids.has(again.startPruning.run.id));
  const { errors } = await api.ask(start, { input: { ...keyed, options: { samples: 5 } } });
  assert.deepEqual(errors?.[0]?.extensions, { code: "IDEMPOTENCY_KEY_REUSED", argument: "input.idempotencyKey", key: "one" });
  const other = await api.data(start, { input: input({ idempotencyKey: "two" }) });
  assert.ok(!ids.has(other.startPruning.run.id));
  const { pruningRuns } = await api.data("{ pruningRuns { nodes { id } } }");
  assert.equal(pruningRuns.nodes.length, 2);
  for (const key of ["", " ", "x".repeat(201)]) {
    const refused = await api.ask(start, { input: input({ idempotencyKey: key }) });
    assert.equal(refused.errors?.[0]?.extensions["argument"], "input.idempotencyKey");
  }
});

test("registering repeated with its key gives the first model, whatever became of the files", async () => {
  const register = "mutation ($input: RegisterModelInput!) { registerModel(input: $input) { model { id name } } }";
  const path = "passing";
  const folder = join(modelRoot, path);
  await cp(ahabFolder, folder, { recursive: true });
  await rm(join(folder, "README.md"));
  const request = { path, name: "first", idempotencyKey: "register" };
  try {
    const {
      registerModel: { model: first },
    } = await api.data(register, { input: request });
    await rm(folder, { recursive: true });
    assert.deepEqual((await api.data(register, { input: request })).registerModel.model, first);
    assert.equal((await api.ask(register, { input: { path } })).errors?.[0]?.extensions["code"], "MODEL_NOT_FOUND");
    const { errors } = await api.ask(register, { input: { ...request, name: "second" } });
    assert.equal(errors?.[0]?.extensions["code"], "IDEMPOTENCY_KEY_REUSED");
    // Keys of different operations do not meet.
    await api.data(start, { input: input({ idempotencyKey: "register" }) });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("a run waits at its place; cancelled, it can be resumed; and only the target may differ from the run it begins from", async () => {
  const {
    startPruning: { run: low },
  } = await api.data(start, { input: input({ options: { seed: 1 } }) });
  const {
    startPruning: { run: high },
  } = await api.data(start, { input: input({ priority: 7 }) });
  assert.deepEqual([high.status, high.priority, high.queuePosition], ["QUEUED", 7, 1]);
  assert.ok(low.queuePosition > 1);
  const cancelled = await api.data("mutation ($id: ID!) { cancelRun(input: { id: $id }) { run { status queuePosition } } }", {
    id: high.id,
  });
  assert.deepEqual(cancelled.cancelRun.run, { status: "CANCELLED", queuePosition: null });
  const resume = "mutation ($id: ID!) { resumeRun(input: { id: $id }) { run { status queuePosition error { code } } } }";
  assert.deepEqual((await api.data(resume, { id: high.id })).resumeRun.run, { status: "QUEUED", queuePosition: 1, error: null });
  assert.equal((await api.ask(resume, { id: high.id })).errors?.[0]?.extensions["code"], "RUN_NOT_RESUMABLE");
  assert.equal((await api.ask(resume, { id: "x" })).errors?.[0]?.extensions["code"], "RUN_NOT_FOUND");

  const {
    startPruning: { run: from },
  } = await api.data(start, { input: input({ from: low.id, options: { seed: 1, targetRatio: 0.4 } }) });
  assert.deepEqual(from.from, { id: low.id });
  for (const [difference, argument] of [
    [{ options: { seed: 2 } }, "input.options.seed"],
    [{ options: { seed: 1, perturbation: { rate: 0.5 } } }, "input.options.perturbation"],
    [{ options: { seed: 1 }, dataset: { texts: ["another"] } }, "input.dataset"],
  ] as const) {
    const { errors } = await api.ask(start, { input: input({ from: low.id, ...difference }) });
    assert.deepEqual(errors?.[0]?.extensions, { code: "BAD_USER_INPUT", argument });
  }
  const { errors } = await api.ask(start, { input: input({ priority: 101 }) });
  assert.deepEqual(errors?.[0]?.extensions, { code: "BAD_USER_INPUT", argument: "input.priority" });
  assert.equal((await api.ask(start, { input: input({ from: "x" }) })).errors?.[0]?.extensions["argument"], "input.from");
});
