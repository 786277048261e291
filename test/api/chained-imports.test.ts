import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pino } from "pino";
import { startWorker, type Worker } from "../../src/jobs/worker.ts";
import { ahabFolder } from "../support/ahab.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { scratch } from "../support/scratch.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let worker: Worker | null = null;
const modelRoot = `${scratch}-chained`;
before(async () => {
  await cp(ahabFolder, join(modelRoot, "ahab"), { recursive: true });
  await cp(join(ahabFolder, "onnx/model.onnx"), join(modelRoot, "alone/model.onnx"));
  api = await testApi({ worker: false, modelRoot });
});
after(async () => {
  await worker?.stop();
  await api.close();
  await rm(modelRoot, { recursive: true, force: true });
});

/** Until then nothing runs: all is asked for while the import has not begun. */
async function work(): Promise<void> {
  const { store, queue, dataDirectory, hub } = api.services;
  worker ??= await startWorker(queue, { store, dataDirectory, modelRoot, hub, logger: pino({ level: "silent" }) });
}
async function rest(): Promise<void> {
  await worker?.stop();
  worker = null;
}

const startImport = async (path: string): Promise<string> =>
  (await api.data("mutation($input: StartImportInput!) { it: startImport(input: $input) { run { id } } }", { input: { source: { path } } }))
    .it.run.id;

const starts = {
  Pruning: { dataset: { name: "literature-train" }, options: { samples: 4, sequenceLength: 32, targetRatio: 0.1 } },
  Evaluation: { dataset: { name: "literature-heldout" }, sequenceLength: 32, maxTokens: 64, measureSpeed: false },
  Recovery: {
    dataset: { name: "literature-train" },
    options: { steps: 4, checkEverySteps: 2, batchSize: 8, sequenceLength: 32, heldBackTexts: 8, warmupSteps: 1 },
  },
  Export: { format: "ONNX" },
} as const;
type What = keyof typeof starts;

const asked = (what: What, resultOf: string, more: object = {}) =>
  api.ask(`mutation($input: Start${what}Input!) { it: start${what}(input: $input) { run { id } } }`, {
    input: { subject: { resultOf }, ...starts[what], ...more },
  });
async function started(...args: Parameters<typeof asked>): Promise<string> {
  const { data, errors } = await asked(...args);
  assert.equal(errors, undefined, JSON.stringify(errors));
  return data.it.run.id;
}

const runOf =
  "query($id: ID!) { run(id: $id) { kind status error { code message } model { id } resultModel { id parameterCount } ... on Evaluation { overlapRatio comparisonKey } } }";
const ended = (id: string) =>
  until(
    "the run ends",
    async () => {
      const { run } = await api.data(runOf, { id });
      return ["QUEUED", "RUNNING"].includes(run.status) ? null : run;
    },
    300_000,
  );

test("a model is imported, pruned, healed, measured and exported, all asked for before it is there", async () => {
  const importing = await startImport("ahab");
  const pruning = await started("Pruning", importing);
  const healing = await started("Recovery", pruning, {
    options: { ...starts.Recovery.options, objectives: { languageModel: 1, distill: 0 } },
  });
  const measuring = await started("Evaluation", healing);
  const writing = await started("Export", pruning);
  const { run: waiting } = await api.data(runOf, { id: measuring });
  assert.deepEqual([waiting.status, waiting.model], ["QUEUED", null]);
  await work();
  const [made, pruned, healed, measured, written] = await Promise.all([importing, pruning, healing, measuring, writing].map(ended));
  for (const run of [made, pruned, healed, measured, written]) assert.equal(run.status, "SUCCEEDED", JSON.stringify(run.error));
  assert.deepEqual(
    [pruned.model.id, healed.model.id, measured.model.id],
    [made.resultModel.id, pruned.resultModel.id, healed.resultModel.id],
  );
  assert.ok(pruned.resultModel.parameterCount < made.resultModel.parameterCount);
  assert.ok(measured.overlapRatio < 0.02);
  assert.match(measured.comparisonKey, /^[0-9a-f]{64}$/);
});

test("what does not fit a model that was not there yet is said once it is, before anything is computed", async () => {
  await rest();
  const ahab = (await api.data("{ models(filter: { root: true }) { nodes { id } } }")).models.nodes[0].id;
  const importing = await startImport("ahab");
  const alone = await startImport("alone");
  const rows: [run: Parameters<typeof asked>, code: string, message: RegExp][] = [
    [
      ["Pruning", importing, { options: { protectFirst: 12 } }],
      "BAD_USER_INPUT",
      /^input\.options\.protectFirst and protectLast must leave some of the model's 12 layers/,
    ],
    [
      ["Pruning", importing, { options: { sequenceLength: 513 } }],
      "BAD_USER_INPUT",
      /^input\.options\.sequenceLength .*context length, 512/,
    ],
    [["Pruning", alone], "TOKENIZER_MISSING", /was registered without a tokenizer\.json/],
    [["Evaluation", importing, { sequenceLength: 513, stride: 1 }], "BAD_USER_INPUT", /^input\.sequenceLength .*context length, 512/],
    [["Evaluation", importing, { against: { modelId: ahab } }], "BAD_USER_INPUT", /^input\.against\.modelId must be another model/],
    [["Recovery", importing, { options: { ...starts.Recovery.options, rank: 97 } }], "BAD_USER_INPUT", /^input\.options\.rank .*to 96/],
    [["Recovery", importing, { teacherId: ahab }], "BAD_USER_INPUT", /^input\.teacherId must be another model/],
    [["Recovery", importing], "NO_TEACHER", /./],
    [["Recovery", importing, { dataset: { self: { textTokens: 513 } } }], "BAD_USER_INPUT", /^input\.dataset\.self\.textTokens .*512/],
  ];
  const ids = await Promise.all(rows.map(([run]) => started(...run)));
  await work();
  for (const [i, [run, code, message]] of rows.entries()) {
    const { status, error } = await ended(ids[i] as string);
    assert.deepEqual([status, error?.code], ["FAILED", code], `${JSON.stringify(run)}: ${error?.message}`);
    assert.match(error.message, message);
  }
});

test("what an imported model is to be pruned with is not what it is measured on", async () => {
  await rest();
  const pruning = await started("Pruning", await startImport("ahab"));
  const { errors } = await asked("Evaluation", pruning, { dataset: starts.Pruning.dataset });
  assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], ["DATASET_OVERLAP", "input.dataset"]);
  await started("Evaluation", pruning, { dataset: starts.Pruning.dataset, allowOverlap: true });
});

test("what can be said at once is, and who waits for an import fails with it", async () => {
  await rest();
  const importing = await startImport("ahab");
  const missing = await startImport("nothing");
  for (const [what, more, code, argument] of [
    ["Pruning", { options: { targetRatio: 1 } }, "BAD_USER_INPUT", "input.options.targetRatio"],
    ["Pruning", { dataset: { name: "none" } }, "DATASET_NOT_FOUND", "input.dataset.name"],
    ["Evaluation", { stride: 0 }, "BAD_USER_INPUT", "input.stride"],
    ["Recovery", { options: { steps: 0 } }, "BAD_USER_INPUT", "input.options.steps"],
    ["Export", { weights: "Q4_0" }, "BAD_USER_INPUT", "input.weights"],
  ] as const) {
    const { errors } = await asked(what, importing, more);
    assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], [code, argument], what);
  }
  const plan = "query($input: StartPruningInput!) { pruningPlan(input: $input) { targetParameterCount } }";
  const { errors } = await api.ask(plan, { input: { subject: { resultOf: importing }, ...starts.Pruning } });
  assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], ["BAD_USER_INPUT", "input.subject.resultOf"]);
  const waiting = await started("Pruning", missing);
  await work();
  assert.equal((await ended(missing)).status, "FAILED");
  assert.deepEqual((await ended(waiting)).error.code, "SUBJECT_FAILED");
});
