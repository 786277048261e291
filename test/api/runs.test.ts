import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { kindOf } from "../../src/jobs/run-kinds.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { createEvaluation, recordEvaluation } from "../../src/store/evaluations.ts";
import { createPruningRun, recordStart } from "../../src/store/pruning-runs.ts";
import { claimRun, recordFailure, recordProgress } from "../../src/store/run-progress.ts";
import { createToken } from "../../src/store/tokens.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { claimPruningRun, newDataset, newModel, smallEvaluation } from "../support/records.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false });
});
after(() => api.close());

/** A pruning run and an evaluation of one model that no queue knows of. */
async function oneOfEach(name: string) {
  const { store } = api.services;
  const enqueue = async () => {};
  const { id: modelId } = await newModel(store, name);
  const dataset = await newDataset(store);
  const asked = { modelId, method: "PIP", options: { ...defaultPruningOptions, targetRatio: 0.5 }, datasetId: dataset.id, priority: 3 };
  const { id: pruning } = await createPruningRun(store, asked, enqueue);
  const { id: evaluation } = await createEvaluation(store, { modelId, dataset, settings: smallEvaluation, overlapRatio: 0 }, enqueue);
  return { modelId, datasetId: dataset.id, pruning, evaluation };
}

interface Told {
  readonly __typename: string;
  readonly sequence: number;
  readonly [field: string]: unknown;
}

/** What `runProgress` tells of a run after a sequence, until it completes. */
async function progress(runId: string, after = 0): Promise<Told[]> {
  const query = `subscription($runId: ID!, $after: Int) { runProgress(runId: $runId, after: $after) { __typename sequence run { __typename id kind }
    ... on RunStarted { attempt } ... on RunProgressed { progress } ... on RunFailed { error { code } } ... on PruningStarted { candidates } } }`;
  const told: Told[] = [];
  for await (const { data, errors } of api.socket().iterate<{ runProgress: Told }>({ query, variables: { runId, after } })) {
    assert.equal(errors, undefined);
    told.push(data?.runProgress as Told);
  }
  return told;
}

test("runs of all kinds are one list, by kind, status and model, from either end", async () => {
  const first = await oneOfEach("first");
  const second = await oneOfEach("second");
  const list = async (args: string) =>
    (await api.data(`{ runs${args} { nodes { id } } }`)).runs.nodes.map((node: { id: string }) => node.id);
  const all = [second.evaluation, second.pruning, first.evaluation, first.pruning];
  assert.deepEqual(await list(""), all);
  assert.deepEqual(await list("(orderBy: OLDEST_FIRST)"), all.toReversed());
  assert.deepEqual(await list(`(filter: { modelId: "${first.modelId}" })`), [first.evaluation, first.pruning]);
  assert.deepEqual(await list("(filter: { kinds: [PRUNING] })"), [second.pruning, first.pruning]);
  assert.deepEqual(await list("(filter: { kinds: [PRUNING, EVALUATION], statuses: [RUNNING] })"), []);
  await api.data(`mutation { cancelRun(input: { id: "${second.evaluation}" }) { run { id } } }`);
  assert.deepEqual(await list("(filter: { statuses: [CANCELLED, FAILED] })"), [second.evaluation]);
  for (const [orderBy, expected] of [
    ["NEWEST_FIRST", all],
    ["OLDEST_FIRST", all.toReversed()],
  ] as const) {
    const page = `query($after: String) { runs(first: 3, after: $after, orderBy: ${orderBy}) { nodes { id } pageInfo { endCursor hasNextPage } } }`;
    const { runs: one } = await api.data(page);
    const { runs: two } = await api.data(page, { after: one.pageInfo.endCursor });
    assert.deepEqual([one.pageInfo.hasNextPage, two.pageInfo.hasNextPage], [true, false]);
    assert.deepEqual(
      [...one.nodes, ...two.nodes].map((node) => node.id),
      expected,
    );
  }
});

test("a run tells what all kinds have, and what is its kind's; of another kind it is none", async () => {
  const { modelId, datasetId, pruning, evaluation } = await oneOfEach("told");
  const query = `query($id: ID!) { run(id: $id) { __typename id kind status progress priority lastSequence executionProvider
    model { id } dataset { id } resultModel { id } error { code } startedAt finishedAt
    ... on PruningRun { method options { targetRatio } } ... on Evaluation { sequenceLength result { perplexity } } } }`;
  const common = {
    status: "QUEUED",
    progress: 0,
    lastSequence: 0,
    executionProvider: null,
    model: { id: modelId },
    dataset: { id: datasetId },
    resultModel: null,
    error: null,
    startedAt: null,
    finishedAt: null,
  };
  assert.deepEqual((await api.data(query, { id: pruning })).run, {
    __typename: "PruningRun",
    id: pruning,
    kind: "PRUNING",
    priority: 3,
    method: "PIP",
    options: { targetRatio: 0.5 },
    ...common,
  });
  assert.deepEqual((await api.data(query, { id: evaluation })).run, {
    __typename: "Evaluation",
    id: evaluation,
    kind: "EVALUATION",
    priority: 0,
    sequenceLength: 8,
    result: null,
    ...common,
  });
  const others = await api.data(
    'query($p: ID!, $e: ID!) { pruningRun(id: $e) { id } evaluation(id: $p) { id } run(id: "nonsense") { id } }',
    {
      p: pruning,
      e: evaluation,
    },
  );
  assert.deepEqual(others, { pruningRun: null, evaluation: null, run: null });
  for (const [mutation, id, code] of [
    ["cancelRun", modelId, "RUN_NOT_FOUND"],
    ["resumeRun", modelId, "RUN_NOT_FOUND"],
    ["resumeRun", pruning, "RUN_NOT_RESUMABLE"],
  ] as const) {
    const { errors } = await api.ask(`mutation { ${mutation}(input: { id: "${id}" }) { run { id } } }`);
    assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], [code, "input.id"], mutation);
  }
});

test("an evaluation tells of itself in events, through cancelling and resuming to its end", async () => {
  const { store, queue } = api.services;
  const { evaluation: id } = await oneOfEach("eventful");
  const first = await claimRun(store, id, kindOf({ kind: "EVALUATION" }).begin);
  assert.ok(first);
  await recordProgress(store, first, { progress: 0.25 });
  const {
    cancelRun: { run: ended },
  } = await api.data(`mutation { cancelRun(input: { id: "${id}" }) { run { status progress } } }`);
  assert.deepEqual(ended, { status: "CANCELLED", progress: 0.25 });
  const names = (told: readonly Told[]) => told.map((event) => [event.sequence, event.__typename]);
  const cancelled = [
    [1, "RunStarted"],
    [2, "RunProgressed"],
    [3, "RunCancelled"],
  ];
  const told = await progress(id);
  assert.deepEqual(names(told), cancelled);
  assert.deepEqual(
    [told[0]?.["attempt"], told[1]?.["progress"], told[0]?.["run"]],
    [1, 0.25, { __typename: "Evaluation", id, kind: "EVALUATION" }],
  );
  const { errors } = await api.ask(`mutation { cancelRun(input: { id: "${id}" }) { run { id } } }`);
  assert.equal(errors?.[0]?.extensions["code"], "RUN_NOT_CANCELLABLE");

  const {
    resumeRun: { run: resumed },
  } = await api.data(`mutation { resumeRun(input: { id: "${id}" }) { run { status finishedAt } } }`);
  assert.deepEqual(resumed, { status: "QUEUED", finishedAt: null });
  // Taken, as a worker does it: else it would be found to have lost its worker.
  assert.equal((await queue.take(["evaluate-cpu"]))?.data.id, id, "it is in the queue");
  const second = await claimRun(store, id, kindOf({ kind: "EVALUATION" }).begin);
  assert.ok(second);
  const result = { executionProvider: "CPU", perplexity: 7 } as never;
  await recordEvaluation(store, second, result);
  const rest = await progress(id, 3);
  assert.deepEqual(names(rest), [
    [4, "RunResumed"],
    [5, "RunStarted"],
    [6, "RunSucceeded"],
  ]);
  assert.equal(rest[1]?.["attempt"], 2);
  const query = "query($id: ID!) { evaluation(id: $id) { status progress lastSequence executionProvider result { perplexity } } }";
  assert.deepEqual((await api.data(query, { id })).evaluation, {
    status: "SUCCEEDED",
    progress: 1,
    lastSequence: 6,
    executionProvider: "CPU",
    result: { perplexity: 7 },
  });
});

test("a pruning run is told of in its own events, and resumed as by its own operation", async () => {
  const { store } = api.services;
  const { pruning: id } = await oneOfEach("its own");
  const claim = await claimPruningRun(store, id);
  assert.ok(claim);
  await recordStart(store, claim, { executionProvider: "CPU", parameterCount: 1000, targetParameterCount: 500, candidates: 4 });
  await recordFailure(store, id, { code: "X", message: "why" });
  await api.data(`mutation { resumeRun(input: { id: "${id}" }) { run { id } } }`);
  await api.data(`mutation { cancelRun(input: { id: "${id}" }) { run { id } } }`);
  const told = await progress(id);
  assert.deepEqual(
    told.map((event) => event.__typename),
    ["PruningStarted", "RunFailed", "PruningResumed", "RunCancelled"],
  );
  assert.equal(told[0]?.["candidates"], 4);
});

test("a run is ended and resumed by those who may start one of its kind", async () => {
  const { prisma } = api.services.store;
  const { pruning, evaluation } = await oneOfEach("of whom");
  // Once there is a token, the server is open to nobody without one: this test is the last.
  const { secret } = await createToken(prisma, { name: "measures", role: "GENERATE", expiresAt: null });
  for (const mutation of ["cancelRun", "resumeRun"]) {
    const refused = await api.ask(`mutation { ${mutation}(input: { id: "${pruning}" }) { run { id } } }`, {}, secret);
    assert.deepEqual(refused.errors?.[0]?.extensions, { code: "FORBIDDEN", needed: "PRUNE", role: "GENERATE" });
    assert.equal((await api.ask(`mutation { ${mutation}(input: { id: "${evaluation}" }) { run { id } } }`, {}, secret)).errors, undefined);
  }
  const entries = await prisma.auditEntry.findMany({ where: { tokenName: "measures" }, orderBy: { id: "asc" } });
  assert.deepEqual(
    entries.map(({ mutation, outcome, resultIds }) => [mutation, outcome, resultIds]),
    [
      ["cancelRun", "FORBIDDEN", []],
      ["cancelRun", "OK", [evaluation]],
      ["resumeRun", "FORBIDDEN", []],
      ["resumeRun", "OK", [evaluation]],
    ],
  );
});
