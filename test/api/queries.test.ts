import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pino } from "pino";
import { startServer } from "../../src/api/server.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { createEvaluation } from "../../src/store/evaluations.ts";
import { claimRun, recordIteration, recordStart, recordSuccess } from "../../src/store/run-progress.ts";
import { createRun } from "../../src/store/runs.ts";
import type { Store } from "../../src/store/store.ts";
import { type Answer, type TestApi, testApi } from "../support/api.ts";
import { inspected, newDataset, newModel, newRun } from "../support/records.ts";

let api: TestApi;
before(async () => {
  api = await testApi();
});
after(() => api.close());

/** A run that did one iteration and made a child. */
async function finishedRun(store: Store, childName: string): Promise<{ runId: string; baseId: string; childId: string }> {
  const { id: runId, modelId: baseId } = await newRun(store);
  const claim = await claimRun(store, runId);
  assert.ok(claim);
  await recordStart(store, claim, { executionProvider: "CPU", parameterCount: 1000, targetParameterCount: 800, candidates: 3 });
  await recordIteration(store, claim, {
    type: "ITERATION",
    iteration: 0,
    scores: [
      { kind: "LAYER", indexes: [0, 1], scores: [0.5, 0.25] },
      { kind: "MLP", indexes: [1], scores: [0.75] },
    ],
    removed: [{ kind: "LAYER", index: 1, score: 0.25, parameterCount: 100 }],
    parameterCount: 900,
    removedRatio: 0.1,
    loss: 3,
    perturbedLoss: 4,
    durationMs: 5,
    estimatedMsLeft: 6,
  });
  await recordSuccess(store, claim, inspected(childName, 900));
  const { resultModelId } = await store.prisma.pruningRun.findUniqueOrThrow({ where: { id: runId } });
  return { runId, baseId, childId: resultModelId as string };
}

test("a model, its child, the run between them and its scores refer to one another", async () => {
  const { runId, baseId, childId } = await finishedRun(api.services.store, "child");
  const { pruningRun: run } = await api.data(
    `query($id: ID!) { pruningRun(id: $id) {
      status method targetRatio removedRatio parameterCount executionProvider lastSequence error { code }
      options { targetRatio structureKinds perturbation { kind rate regenerate } }
      dataset { name form recordCount }
      model { id children { nodes { id producedBy { id } } } pruningRuns { nodes { id } } }
      resultModel { id parent { id } producedBy { id } }
      iterations { index removed { kind index score parameterCount } parameterCount removedRatio loss perturbedLoss durationMs }
      scores(first: 2, orderBy: SCORE_ASCENDING) { nodes { kind index score } pageInfo { hasNextPage endCursor } }
    } }`,
    { id: runId },
  );
  assert.equal(run.status, "SUCCEEDED");
  assert.equal(run.executionProvider, "CPU");
  assert.equal(run.parameterCount, 1000);
  assert.ok(Math.abs(run.removedRatio - 0.1) < 1e-12);
  assert.deepEqual(run.options.perturbation, { kind: "REAL_WORD", rate: 0.3, regenerate: true });
  assert.deepEqual(run.dataset, { name: null, form: "TEXT", recordCount: 1 });
  assert.deepEqual(run.model, {
    id: baseId,
    children: { nodes: [{ id: childId, producedBy: { id: runId } }] },
    pruningRuns: { nodes: [{ id: runId }] },
  });
  assert.deepEqual(run.resultModel, { id: childId, parent: { id: baseId }, producedBy: { id: runId } });
  assert.deepEqual(run.iterations, [
    {
      index: 0,
      removed: [{ kind: "LAYER", index: 1, score: 0.25, parameterCount: 100 }],
      parameterCount: 900,
      removedRatio: 0.1,
      loss: 3,
      perturbedLoss: 4,
      durationMs: 5,
    },
  ]);
  assert.deepEqual(
    run.scores.nodes.map((s: { score: number }) => s.score),
    [0.25, 0.5],
  );
  const { structureScores } = await api.data(
    "query($id: ID!, $after: String) { structureScores(runId: $id, after: $after, orderBy: SCORE_ASCENDING) { nodes { kind index score } pageInfo { hasNextPage } } }",
    { id: runId, after: run.scores.pageInfo.endCursor },
  );
  assert.deepEqual(structureScores, { nodes: [{ kind: "MLP", index: 1, score: 0.75 }], pageInfo: { hasNextPage: false } });
  const { structureScores: layers } = await api.data(
    "query($id: ID!) { structureScores(runId: $id, filter: { kinds: [LAYER], iterations: [0] }) { nodes { index } } }",
    { id: runId },
  );
  assert.deepEqual(layers.nodes, [{ index: 0 }, { index: 1 }]);
});

test("a model tells its structures, files and operators; large sizes are exact", async () => {
  const { id } = await newModel(api.services.store, "told");
  const { model } = await api.data(
    "query($id: ID!) { model(id: $id) { sizeBytes operators { operator count } structures(kinds: [MLP]) { kind index } files { path sizeBytes } } }",
    { id },
  );
  assert.deepEqual(model, {
    sizeBytes: 5_000_000_000,
    operators: [
      { operator: "MatMul", count: 14 },
      { operator: "Add", count: 4 },
    ],
    structures: [
      { kind: "MLP", index: 0 },
      { kind: "MLP", index: 1 },
    ],
    files: [
      { path: "config.json", sizeBytes: 20 },
      { path: "onnx/model.onnx", sizeBytes: 5_000_000_000 },
      { path: "tokenizer.json", sizeBytes: 30 },
    ],
  });
});

test("lineage goes up and down, in generations", async () => {
  const { store } = api.services;
  const root = await newModel(store, "eve");
  const child = await newModel(store, "enoch", root.id);
  const grandchild = await newModel(store, "irad", child.id);
  const other = await newModel(store, "seth", root.id);
  const lineage = async (modelId: string, depth: number) => {
    const query =
      "query($modelId: ID!, $depth: Int!) { lineage(modelId: $modelId, depth: $depth) { nodes { name } edges { parent { name } child { name } } truncated } }";
    const { nodes, edges, truncated } = (await api.data(query, { modelId, depth })).lineage;
    assert.equal(truncated, false);
    const name = (model: { name: string }) => model.name;
    return [nodes.map(name), edges.map((e: { parent: { name: string }; child: { name: string } }) => `${e.parent.name}>${e.child.name}`)];
  };
  assert.deepEqual(await lineage(root.id, 10), [
    ["eve", "enoch", "seth", "irad"],
    ["eve>enoch", "eve>seth", "enoch>irad"],
  ]);
  assert.deepEqual(await lineage(root.id, 1), [
    ["eve", "enoch", "seth"],
    ["eve>enoch", "eve>seth"],
  ]);
  assert.deepEqual(await lineage(grandchild.id, 10), [
    ["eve", "enoch", "irad"],
    ["eve>enoch", "enoch>irad"],
  ]);
  assert.deepEqual(await lineage(other.id, 0), [["seth"], []]);
});

test("lists go by pages, newest first, and by filters", async () => {
  const { store } = api.services;
  const parent = await newModel(store, "page parent");
  for (const name of ["page a", "page b", "page c"]) await newModel(store, name, parent.id);
  const query =
    "query($after: String, $filter: ModelFilter!) { models(first: 2, after: $after, filter: $filter) { nodes { name } edges { cursor } pageInfo { hasNextPage endCursor } } }";
  const filter = { parentId: parent.id };
  const { models: first } = await api.data(query, { filter });
  assert.deepEqual(first.nodes, [{ name: "page c" }, { name: "page b" }]);
  assert.equal(first.pageInfo.hasNextPage, true);
  assert.equal(first.edges[1].cursor, first.pageInfo.endCursor);
  const { models: second } = await api.data(query, { filter, after: first.pageInfo.endCursor });
  assert.deepEqual([second.nodes, second.pageInfo.hasNextPage], [[{ name: "page a" }], false]);
  const { models: named } = await api.data(query, { filter: { name: "PAGE A" } });
  assert.deepEqual(named.nodes, [{ name: "page a" }]);
  const { models: registered } = await api.data(query, { filter: { name: "page", parentId: null } });
  assert.deepEqual(registered.nodes, [{ name: "page parent" }]);
  const { models: none } = await api.data(query, { filter: { parentId: "x" } });
  assert.deepEqual([none.nodes, none.pageInfo], [[], { hasNextPage: false, endCursor: null }]);
});

test("what does not exist is null", async () => {
  const answer = await api.data(
    '{ model(id: "x") { id } pruningRun(id: "00000000-0000-7000-8000-000000000000") { id } evaluation(id: "") { id } }',
  );
  assert.deepEqual(answer, { model: null, pruningRun: null, evaluation: null });
});

test("a list of any length and all that its models refer to take a fixed number of database operations", async () => {
  const { store } = api.services;
  const parent = await newModel(store, "ancestor");
  const dataset = await newDataset(store);
  for (let i = 0; i < 12; i++) {
    const { id: modelId } = await newModel(store, `many ${i}`, parent.id);
    await newModel(store, `grandchild ${i}`, modelId);
    const lengths = { sequenceLength: 8, stride: 8, maxTokens: null, maxItems: null };
    const settings = { ...lengths, measureSpeed: false, executionProvider: "CPU" } as const;
    await createEvaluation(store, { modelId, dataset, settings, overlapRatio: 0 }, async () => {});
    await createRun(store, { modelId, method: "PIP", options: defaultPruningOptions, datasetId: dataset.id }, async () => {});
  }
  let operations = 0;
  const counting = store.prisma.$extends({
    query: {
      $allOperations: ({ args, query }) => {
        operations++;
        return query(args);
      },
    },
  }) as unknown as Store["prisma"];
  const services = { ...api.services, store: { ...store, prisma: counting } };
  const server = await startServer(services, "127.0.0.1", 0, pino({ level: "silent" }));
  const query = `query($first: Int!) { models(first: $first, filter: { name: "many" }) { nodes {
    parent { name } producedBy { id } files { path } structures { index }
    children(first: 1) { nodes { id producedBy { id iterations { index } } } }
    pruningRuns(first: 1) { nodes { id dataset { id } model { name } resultModel { id } iterations { index } } }
    evaluations(first: 1) { nodes { id model { name } dataset { id } retained { accuracyRatio } } }
  } } }`;
  const operationsFor = async (first: number): Promise<number> => {
    operations = 0;
    const headers = { "content-type": "application/json" };
    const response = await fetch(server.url, { method: "POST", headers, body: JSON.stringify({ query, variables: { first } }) });
    const { data } = (await response.json()) as Answer;
    assert.equal(data.models.nodes.filter((m: { evaluations: { nodes: object[] } }) => m.evaluations.nodes.length === 1).length, first);
    return operations;
  };
  try {
    const few = await operationsFor(2);
    assert.ok(few > 5);
    assert.equal(await operationsFor(12), few);
  } finally {
    await server.stop();
  }
});
