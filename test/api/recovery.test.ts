import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { InspectedModel } from "../../src/models/types.ts";
import { recoveryMethods } from "../../src/recovery/methods/index.ts";
import { insertModel } from "../../src/store/models.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { inspected, sha256 } from "../support/records.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let modelId: string;
before(async () => {
  api = await testApi();
  modelId = (await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }')).registerModel.model.id;
});
after(() => api.close());

const start = `mutation($input: StartRecoveryInput!) {
  startRecovery(input: $input) { run { id status method teacher { id } options { learningRate rank objectives { distill } } } }
}`;
const texts = { name: "literature-train" };
const small = { steps: 6, checkEverySteps: 3, batchSize: 8, sequenceLength: 32, heldBackTexts: 8, warmupSteps: 2 };

async function ended(id: string) {
  const query = "query($id: ID!) { run(id: $id) { status error { code message } resultModel { id } } }";
  return until(
    "the run ends",
    async () => {
      const { run } = await api.data(query, { id });
      return ["QUEUED", "RUNNING"].includes(run.status) ? null : run;
    },
    240_000,
  );
}

test("the ways of healing are those of the list", async () => {
  const { recoveryMethods: told } = await api.data("{ recoveryMethods { name description learningRate } }");
  assert.deepEqual(
    told,
    recoveryMethods.map(({ name, description, learningRate }) => ({ name, description, learningRate })),
  );
});

test("pruned, healed and measured, all asked for at once; texts it was healed with are refused", async () => {
  const asked = { subject: { modelId }, dataset: texts, options: { samples: 4, sequenceLength: 32, targetRatio: 0.2 } };
  const { startPruning } = await api.data("mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }", {
    input: asked,
  });
  const healing = { subject: { resultOf: startPruning.run.id }, dataset: texts, options: small };
  const { run } = (await api.data(start, { input: healing })).startRecovery;
  assert.deepEqual([run.method, run.options.learningRate, run.options.objectives.distill], ["LORA", 2e-3, 1]);
  const evaluate = "mutation($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { id } } }";
  const measuring = { subject: { resultOf: run.id }, sequenceLength: 32, maxTokens: 64, measureSpeed: false };
  const refused = await api.ask(evaluate, { input: { ...measuring, dataset: texts } });
  assert.equal(refused.errors?.[0]?.extensions["code"], "DATASET_OVERLAP");
  const { startEvaluation } = await api.data(evaluate, { input: { ...measuring, dataset: { name: "literature-heldout" } } });
  assert.equal((await ended(startEvaluation.run.id)).status, "SUCCEEDED");

  const query = `query($id: ID!) { recoveryRun(id: $id) {
    status progress error { code message } peakMemoryBytes teacher { id }
    model { id } resultModel { id name parent { id } parameterCount producedBy { id kind } remarks }
    result { bestStep steps trainedParameterCount trainedTokens startLoss loss teacherLoss wonBackRatio }
  } }`;
  const { recoveryRun: found } = await api.data(query, { id: run.id });
  assert.equal(found.status, "SUCCEEDED", JSON.stringify(found.error));
  assert.deepEqual(
    [found.resultModel.parent.id, found.resultModel.producedBy.id, found.resultModel.producedBy.kind],
    [found.model.id, run.id, "RECOVERY"],
  );
  assert.match(found.resultModel.name, /-lora$/);
  const { result } = found;
  assert.equal(result.steps, 6);
  assert.ok(result.loss <= result.startLoss && result.teacherLoss < result.startLoss);
  assert.ok(Math.abs(result.wonBackRatio - (result.startLoss - result.loss) / (result.startLoss - result.teacherLoss)) < 1e-9);

  // What is solved for goes the same way, by events of its own.
  const shortest = { ...small, steps: 32, batchSize: 16 };
  const solving = { subject: { modelId: found.resultModel.id }, method: "LAYER_MAP", dataset: texts, options: shortest };
  const mapped = (await api.data(start, { input: solving })).startRecovery.run;
  assert.equal(mapped.options.learningRate, null);
  const its = await ended(mapped.id);
  assert.ok(its.status === "SUCCEEDED" || its.error.code === "RECOVERY_HARMS", JSON.stringify(its.error));
  const told: string[] = [];
  const followed = "subscription($id: ID!) { runProgress(runId: $id) { __typename ... on RecoveryRead { step steps tokensPerSecond } } }";
  for await (const event of api.socket().iterate({ query: followed, variables: { id: mapped.id } })) {
    assert.equal(event.errors, undefined, JSON.stringify(event.errors));
    told.push((event.data as { runProgress: { __typename: string } }).runProgress.__typename);
  }
  assert.deepEqual(told.slice(0, 1), ["RecoveryStarted"]);
  assert.ok(told.includes("RecoveryRead"), told.join());

  const events: { __typename: string; sequence: number; step?: number }[] = [];
  const progress = `subscription($id: ID!) { runProgress(runId: $id) { __typename sequence
    ... on RecoveryStarted { steps heldBackLoss teacherLoss trainedParameterCount executionProvider }
    ... on RecoveryStepped { step loss gradientNorm learningRate tokensPerSecond estimatedMsLeft }
    ... on RecoveryChecked { step heldBackLoss isBest wonBackRatio }
    ... on RecoverySucceeded { bestStep loss wonBackRatio parameterCount resultModel { id } } } }`;
  for await (const event of api.socket().iterate({ query: progress, variables: { id: run.id } })) {
    assert.equal(event.errors, undefined, JSON.stringify(event.errors));
    events.push((event.data as { runProgress: (typeof events)[number] }).runProgress);
  }
  const named = (name: string) => events.filter((e) => e.__typename === name);
  assert.deepEqual(
    named("RecoveryChecked").map((e) => e.step),
    [3, 6],
  );
  assert.deepEqual(
    [named("RecoveryStarted").length, named("RecoverySucceeded").length, events.at(-1)?.__typename],
    [1, 1, "RecoverySucceeded"],
  );
});

test("without data a model is healed with what its teacher writes, and that is told and kept", async () => {
  const asked = { subject: { modelId }, dataset: texts, options: { samples: 4, sequenceLength: 32, targetRatio: 0.2 } };
  const { startPruning } = await api.data("mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }", {
    input: asked,
  });
  const healing = { subject: { resultOf: startPruning.run.id }, dataset: { self: { tokens: 2048, textTokens: 40 } }, options: small };
  const { run } = (await api.data(start, { input: healing })).startRecovery;
  assert.equal((await ended(run.id)).status, "SUCCEEDED");
  const query = `query($id: ID!) { recoveryRun(id: $id) {
    self { tokens textTokens prompts randomTokens temperature topP } dataset { id name form recordCount digest description } } }`;
  const { recoveryRun: found } = await api.data(query, { id: run.id });
  assert.deepEqual(found.self, { tokens: 2048, textTokens: 40, prompts: [], randomTokens: 0, temperature: 1, topP: 1 });
  assert.deepEqual([found.dataset.name, found.dataset.form], [null, "TEXT"]);
  assert.ok(found.dataset.recordCount >= 2048 / 40);
  assert.match(found.dataset.description, new RegExp(`recovery run ${run.id}`));
  const progress = `subscription($id: ID!) { runProgress(runId: $id) { __typename
    ... on RecoveryWriting { tokens tokensTotal } ... on RecoveryTextsWritten { texts written: tokens } } }`;
  const events: { __typename: string; texts?: number; written?: number }[] = [];
  for await (const event of api.socket().iterate({ query: progress, variables: { id: run.id } })) {
    assert.equal(event.errors, undefined, JSON.stringify(event.errors));
    events.push((event.data as { runProgress: (typeof events)[number] }).runProgress);
  }
  const told = events.find((e) => e.__typename === "RecoveryTextsWritten");
  assert.ok(told?.texts === found.dataset.recordCount && (told?.written ?? 0) >= 2048);
  assert.ok(events.some((e) => e.__typename === "RecoveryWriting"));
});

const inserted = (model: InspectedModel) => api.services.store.prisma.$transaction((tx) => insertModel(tx, model, model.digest, null));

test("bad input is refused before anything is stored, with the argument at fault", async () => {
  const { prisma } = api.services.store;
  const input = { subject: { modelId }, dataset: texts, options: {} };
  const alone = { objectives: { distill: 0, languageModel: 1 } };
  const { id: other } = await inserted(inspected("of other tokens"));
  const alike = inspected("with another tokenizer");
  const { id: another } = await inserted({
    ...alike,
    files: alike.files.map((f) => (f.path === "tokenizer.json" ? { ...f, sha256: sha256("another tokenizer") } : f)),
  });
  const pruningObstacle = {
    code: "UNSUPPORTED_OPERATORS",
    message: "weights are quantised: the model can be served but not pruned",
    details: {},
  };
  const { id: quantised } = await inserted({ ...inspected("quantised"), pruningObstacle });
  const { id: graph } = await inserted({ ...alike, digest: sha256("graph alone"), files: alike.files.slice(0, 2) });
  const self = (own: object) => ({ options: alone, dataset: { self: own } });
  const option = (name: string, ...values: unknown[]) =>
    values.map((value) => [{ teacherId: modelId, options: { [name]: value } }, "BAD_USER_INPUT", `input.options.${name}`] as const);
  const rows: readonly (readonly [change: object, code: string, argument: string])[] = [
    [{ teacherId: other }, "TEACHER_DIFFERS", "input.teacherId"],
    [{ subject: { modelId: other }, teacherId: another, options: { rank: 4 } }, "TEACHER_DIFFERS", "input.teacherId"],
    [{ teacherId: graph }, "TOKENIZER_MISSING", "input.teacherId"],
    [{ subject: { modelId: graph } }, "TOKENIZER_MISSING", "input.subject.modelId"],
    [{ subject: { modelId: quantised }, teacherId: other }, "UNSUPPORTED_OPERATORS", "input.subject.modelId"],
    [{ subject: { modelId: "018f0000-0000-7000-8000-000000000000" } }, "MODEL_NOT_FOUND", "input.subject.modelId"],
    [{ subject: {} }, "BAD_USER_INPUT", "input.subject"],
    [{ method: "MAGIC" }, "BAD_USER_INPUT", "input.method"],
    [{ method: "LEAST_SQUARES" }, "NO_TEACHER", "input.teacherId"],
    [{ method: "LAYER_MAP", options: alone }, "NO_TEACHER", "input.teacherId"],
    [{ priority: 101, teacherId: modelId }, "BAD_USER_INPUT", "input.priority"],
    [{ idempotencyKey: " ", teacherId: modelId }, "BAD_USER_INPUT", "input.idempotencyKey"],
    ...option("steps", 0, 1_000_001),
    ...option("batchSize", 0, 1025),
    ...option("accumulate", 0, 1025),
    ...option("activationBytes", 2 ** 24 - 1, 2 ** 40 + 1),
    ...option("alpha", 0, 65_537),
    ...option("warmupSteps", -1, 1_000_001),
    ...option("weightDecay", -0.1, 1.1),
    ...option("maxGradientNorm", 0, 2e6),
    ...option("heldBackTexts", 0, 4097),
    ...option("patience", 0),
    ...option("adapt", ["MLP", "MLP"]),
    ...option("sequenceLength", 65_537),
    ...option("learningRate", -1e-3),
    [self({ topP: 0 }), "BAD_USER_INPUT", "input.dataset.self.topP"],
    [self({ prompts: Array(1001).fill("A") }), "BAD_USER_INPUT", "input.dataset.self.prompts"],
    [self({ prompts: ["A".repeat(2001)] }), "BAD_USER_INPUT", "input.dataset.self.prompts"],
    [self({ textTokens: 8, randomTokens: 8 }), "BAD_USER_INPUT", "input.dataset.self.randomTokens"],
    [{ options: alone, dataset: { texts: [] } }, "INVALID_DATASET", "input.dataset.texts"],
    [{}, "NO_TEACHER", "input.teacherId"],
    [{ teacherId: "018f0000-0000-7000-8000-000000000000" }, "MODEL_NOT_FOUND", "input.teacherId"],
    [{ teacherId: modelId, options: { rank: 0 } }, "BAD_USER_INPUT", "input.options.rank"],
    [{ teacherId: modelId, options: { rank: 97 } }, "BAD_USER_INPUT", "input.options.rank"],
    [{ teacherId: modelId, options: { learningRate: 0 } }, "BAD_USER_INPUT", "input.options.learningRate"],
    [{ teacherId: modelId, options: { learningRate: 1.5 } }, "BAD_USER_INPUT", "input.options.learningRate"],
    [{ teacherId: modelId, options: { temperature: 0 } }, "BAD_USER_INPUT", "input.options.temperature"],
    [{ teacherId: modelId, options: { objectives: { distill: 0 } } }, "BAD_USER_INPUT", "input.options.objectives"],
    [{ teacherId: modelId, options: { objectives: { distill: -1 } } }, "BAD_USER_INPUT", "input.options.objectives.distill"],
    [{ teacherId: modelId, options: { objectives: { hidden: 1001 } } }, "BAD_USER_INPUT", "input.options.objectives.hidden"],
    [{ options: { objectives: { distill: 0, hidden: 1 } } }, "NO_TEACHER", "input.teacherId"],
    [{ teacherId: modelId, options: { adapt: [] } }, "BAD_USER_INPUT", "input.options.adapt"],
    [{ teacherId: modelId, options: { checkEverySteps: 0 } }, "BAD_USER_INPUT", "input.options.checkEverySteps"],
    [{ teacherId: modelId }, "BAD_USER_INPUT", "input.teacherId"],
    [{ teacherId: modelId, options: { sequenceLength: 1 } }, "BAD_USER_INPUT", "input.options.sequenceLength"],
    [{ options: alone, dataset: { texts: ["Call me Ishmael."] } }, "RECOVERY_TEXT_TOO_SHORT", "input.dataset"],
    [{ dataset: { self: {} } }, "NO_TEACHER", "input.teacherId"],
    [{ options: alone, dataset: { self: {} } }, "NO_TEACHER", "input.teacherId"],
    [{ options: alone, dataset: { self: { tokens: 4000 } } }, "BAD_USER_INPUT", "input.dataset.self.tokens"],
    [{ options: alone, dataset: { self: { textTokens: 4 } } }, "BAD_USER_INPUT", "input.dataset.self.textTokens"],
    [{ options: alone, dataset: { self: { temperature: 0 } } }, "BAD_USER_INPUT", "input.dataset.self.temperature"],
    [{ options: alone, dataset: { self: { randomTokens: 65 } } }, "BAD_USER_INPUT", "input.dataset.self.randomTokens"],
    [{ options: alone, dataset: { self: {}, name: "literature-train" } }, "BAD_USER_INPUT", "input.dataset"],
    [{ options: alone, dataset: { name: "nothing" } }, "DATASET_NOT_FOUND", "input.dataset.name"],
  ];
  const counts = () => Promise.all([prisma.run.count(), prisma.dataset.count()]);
  const before = await counts();
  for (const [change, code, argument] of rows) {
    const { errors } = await api.ask(start, { input: { ...input, ...change } });
    assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], [code, argument], JSON.stringify(change));
  }
  assert.deepEqual(await counts(), before);
});

test("a rank that nobody asked for is no more than the model is wide", async () => {
  const { id: narrow } = await inserted(inspected("eight wide"));
  const input = { subject: { modelId: narrow }, dataset: texts, options: { objectives: { distill: 0, languageModel: 1 } } };
  const { run } = (await api.data(start, { input })).startRecovery;
  assert.equal(run.options.rank, 8);
  await api.data("mutation($id: ID!) { cancelRun(input: { id: $id }) { run { status } } }", { id: run.id });
  const { errors } = await api.ask(start, { input: { ...input, options: { ...input.options, rank: 9 } } });
  assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], ["BAD_USER_INPUT", "input.options.rank"]);
});

test("texts that cannot be enough for a closed form are refused before it starts, with the number", async () => {
  const channels = (count: number) => [{ kind: "CHANNEL" as const, index: 0, count, layer: 0, parameters: ["down"], parameterCount: 16 }];
  const { id: parent } = await inserted({ ...inspected("of 100 channels", 3000), structures: channels(100) });
  const left = { ...inspected("of 60 of them", 2000), structures: channels(60) };
  const child = await api.services.store.prisma.$transaction((tx) => insertModel(tx, left, "of 60 of them", parent));
  const few = { steps: 1, batchSize: 1, sequenceLength: 16, heldBackTexts: 1 };
  const short = { texts: ["Call me Ishmael. Some years ago - never mind how long precisely"] };
  const self = { self: { tokens: 1024 } };
  const rows: readonly (readonly [method: string, dataset: object, options: object, argument: string, needed: number, most: number])[] = [
    ["LEAST_SQUARES", texts, few, "input.options.steps", 240, 16],
    ["LEAST_SQUARES", self, { ...few, steps: 14 }, "input.options.steps", 240, 224],
    ["LEAST_SQUARES", short, { ...few, steps: 100 }, "input.dataset", 240, 66],
    ["LAYER_MAP", texts, few, "input.options.steps", 32, 16],
  ];
  for (const [method, dataset, options, argument, neededTokens, tokens] of rows) {
    const { errors } = await api.ask(start, { input: { subject: { modelId: child.id }, method, dataset, options } });
    const { code, ...told } = errors?.[0]?.extensions ?? {};
    assert.deepEqual(
      [code, told["argument"], told["neededTokens"], told["tokens"]],
      ["RECOVERY_TEXT_TOO_SHORT", argument, neededTokens, tokens],
      `${method} ${JSON.stringify(options)}`,
    );
  }
});

test("the same key gives the same run", async () => {
  const input = {
    subject: { modelId },
    dataset: texts,
    options: { ...small, objectives: { distill: 0, languageModel: 1 } },
    idempotencyKey: "healed once",
  };
  const [one, two] = [(await api.data(start, { input })).startRecovery.run, (await api.data(start, { input })).startRecovery.run];
  assert.equal(one.id, two.id);
  await api.data("mutation($id: ID!) { cancelRun(input: { id: $id }) { run { status } } }", { id: one.id });
});
