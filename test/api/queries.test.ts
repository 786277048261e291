import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import pg from "pg";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { createEvaluation } from "../../src/store/evaluations.ts";
import { insertModel } from "../../src/store/models.ts";
import { createPruningRun, recordIteration, recordPruned, recordStart } from "../../src/store/pruning-runs.ts";
import { insertScores } from "../../src/store/scores.ts";
import type { Store } from "../../src/store/store.ts";
import { type Answer, type TestApi, testApi } from "../support/api.ts";
import { claimPruningRun, inspected, newDataset, newModel, newRun } from "../support/records.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false });
});
after(() => api.close());

/** A run that did one iteration and made a child. */
async function finishedRun(store: Store, childName: string): Promise<{ runId: string; baseId: string; childId: string }> {
  const claim = await claimPruningRun(store, (await newRun(store)).id);
  assert.ok(claim?.modelId);
  const { id: runId, modelId: baseId } = claim;
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
  await recordPruned(store, claim, inspected(childName, 900), null, async () => {});
  const { resultModelId } = await store.prisma.run.findUniqueOrThrow({ where: { id: runId } });
  return { runId, baseId, childId: resultModelId as string };
}

test("a model, its child, the run between them and its scores refer to one another", async () => {
  const { runId, baseId, childId } = await finishedRun(api.services.store, "child");
  const { pruningRun: run } = await api.data(
    `query($id: ID!) { pruningRun(id: $id) {
      status method removedRatio executionProvider lastSequence error { code }
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
  assert.ok(Math.abs(run.removedRatio - 0.1) < 1e-12);
  assert.deepEqual(run.options.perturbation, { kind: "TOKEN", rate: 1, regenerate: true });
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
  const { pruningRun: rest } = await api.data(
    "query($id: ID!, $after: String) { pruningRun(id: $id) { scores(after: $after, orderBy: SCORE_ASCENDING) { nodes { kind index score } pageInfo { hasNextPage } } } }",
    { id: runId, after: run.scores.pageInfo.endCursor },
  );
  assert.deepEqual(rest.scores, { nodes: [{ kind: "MLP", index: 1, score: 0.75 }], pageInfo: { hasNextPage: false } });
  const { pruningRun: layers } = await api.data(
    "query($id: ID!) { pruningRun(id: $id) { scores(filter: { kinds: [LAYER], iterations: [0] }) { nodes { index } } } }",
    { id: runId },
  );
  assert.deepEqual(layers.scores.nodes, [{ index: 0 }, { index: 1 }]);
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

test("a model tells its ancestors, and what it has left of their structures", async () => {
  const { store } = api.services;
  const groups = (layers: readonly number[], heads: readonly number[]) =>
    layers.flatMap((name, layer) => [
      { kind: "LAYER" as const, index: layer, count: 1, layer, parameters: [`${name}.q`, `${name}.up`], parameterCount: 9 },
      { kind: "HEAD" as const, index: 4 * layer, count: heads[layer] as number, layer, parameters: [`${name}.q`], parameterCount: 2 },
    ]);
  const insert = (name: string, parentId: string | null, structures: ReturnType<typeof groups>) =>
    store.prisma.$transaction((tx) => insertModel(tx, { ...inspected(name), structures }, name, parentId));
  const root = await insert("root of those left", null, groups([0, 1, 2], [4, 4, 4]));
  // Layer 1 went, so that what was layer 2 is its layer 1; then two heads of that.
  const child = await insert("child", root.id, groups([0, 2], [4, 4]));
  const grandchild = await insert("grandchild", child.id, groups([0, 2], [4, 2]));
  const renamed = await insert("renamed", child.id, groups([7], [4]));
  const query = `query($id: ID!, $of: ID!) { model(id: $id) {
    ancestors { id } structuresLeft(of: $of) { kind layer count left } } }`;
  const { model } = await api.data(query, { id: grandchild.id, of: root.id });
  assert.deepEqual(model.ancestors, [{ id: child.id }, { id: root.id }]);
  const left = Object.fromEntries(
    model.structuresLeft.map((row: { kind: string; layer: number; left: number; count: number }) => [
      `${row.kind} ${row.layer}`,
      `${row.left} of ${row.count}`,
    ]),
  );
  assert.deepEqual(left, {
    ...{ "LAYER 0": "1 of 1", "LAYER 1": "0 of 1", "LAYER 2": "1 of 1" },
    ...{ "HEAD 0": "4 of 4", "HEAD 1": "0 of 4", "HEAD 2": "2 of 4" },
  });
  assert.equal((await api.data(query, { id: renamed.id, of: root.id })).model.structuresLeft, null);
  // The other way round it has more than there was.
  assert.equal((await api.data(query, { id: root.id, of: grandchild.id })).model.structuresLeft, null);
  const { errors } = await api.ask(query, { id: child.id, of: "00000000-0000-7000-8000-000000000000" });
  assert.equal(errors?.[0]?.extensions["code"], "MODEL_NOT_FOUND");
});

test("models are told in short: how each was made, and the newest of each way it was measured in", async () => {
  const { store } = api.services;
  const { runId, baseId, childId } = await finishedRun(store, "told in short");
  const measured = (key: string, perplexity: number, status: "SUCCEEDED" | "FAILED" = "SUCCEEDED") =>
    store.prisma.run.create({
      data: { kind: "EVALUATION", modelId: childId, status, options: {}, comparisonKey: key.repeat(64), result: { perplexity } },
    });
  const evaluations = [await measured("a", 30), await measured("b", 31), await measured("a", 20), await measured("a", 19, "FAILED")];
  const query = `query($ids: [ID!], $first: Int, $after: String) { familyMembers(ids: $ids, first: $first, after: $after) {
    nodes { modelId name parentId parameterCount sizeBytes tags producedBy { runId kind method removedRatio }
      measures { evaluationId comparisonKey datasetName perplexity accuracy } }
    pageInfo { hasNextPage endCursor } totalCount } }`;
  const { familyMembers } = await api.data(query, { ids: [childId, baseId, "nobody"] });
  assert.deepEqual(
    familyMembers.nodes.map(({ modelId }: { modelId: string }) => modelId),
    [baseId, childId],
  );
  assert.equal(familyMembers.totalCount, 2);
  const [base, child] = familyMembers.nodes;
  assert.deepEqual([base.producedBy, base.parentId, base.measures], [null, null, []]);
  assert.deepEqual([child.parentId, child.parameterCount, child.sizeBytes, child.tags], [baseId, 900, 5_000_000_000, []]);
  assert.deepEqual(
    { ...child.producedBy, removedRatio: child.producedBy.removedRatio.toFixed(6) },
    {
      ...{ runId, kind: "PRUNING", method: "PIP", removedRatio: "0.100000" },
    },
  );
  const none = { datasetName: null, accuracy: null };
  assert.deepEqual(child.measures, [
    { evaluationId: evaluations[2]?.id, comparisonKey: "a".repeat(64), perplexity: 20, ...none },
    { evaluationId: evaluations[1]?.id, comparisonKey: "b".repeat(64), perplexity: 31, ...none },
  ]);
  // Page after page it is all models, in the order of `models`.
  const seen: string[] = [];
  for (let after: string | null = null, isMore = true; isMore; ) {
    const page: { nodes: { modelId: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } } = (
      await api.data(query, { first: 3, after })
    ).familyMembers;
    seen.push(...page.nodes.map(({ modelId }) => modelId));
    ({ hasNextPage: isMore, endCursor: after } = page.pageInfo);
  }
  const all = await store.prisma.model.findMany({ orderBy: { id: "asc" } });
  assert.deepEqual(
    seen,
    all.map(({ id }) => id),
  );
  const { errors } = await api.ask(query, { first: 501 });
  assert.equal(errors?.[0]?.extensions["code"], "BAD_USER_INPUT");
  assert.equal((await api.ask(query, { after: "x" })).errors?.[0]?.extensions["code"], "BAD_CURSOR");
});

test("lineage is drawn in Mermaid and in DOT, whatever the names", async () => {
  const { store } = api.services;
  const root = await newModel(store, 'the "root"; end');
  const child = await newModel(store, "a\\b] --> m9", root.id);
  const { mermaid, dot } = (await api.data("query($id: ID!) { lineage(modelId: $id) { mermaid dot } }", { id: root.id })).lineage;
  assert.deepEqual(mermaid.split("\n"), [
    "flowchart TD",
    '  m0["the #34;root#34;#59; end<br/>1,000 parameters"]',
    '  m1["a#92;b#93; --#62; m9<br/>1,000 parameters"]',
    "  m0 --> m1",
    "",
  ]);
  assert.deepEqual(dot.split("\n"), [
    "digraph lineage {",
    "  node [shape=box];",
    `  "${root.id}" [label="the \\"root\\"; end\\n1,000 parameters"];`,
    `  "${child.id}" [label="a\\\\b] --> m9\\n1,000 parameters"];`,
    `  "${root.id}" -> "${child.id}";`,
    "}",
    "",
  ]);
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
  // Signs of LIKE are characters like any other, and null is a filter that is not set.
  const special = "50%_off\\";
  await newModel(store, special);
  await newModel(store, "50 or more, off");
  for (const name of ["%", "_", "off\\", "0%_O", special]) {
    const { models } = await api.data(query, { filter: { name, parentId: null, root: null } });
    assert.deepEqual(models.nodes, [{ name: special }], name);
  }
  const { models: unfiltered } = await api.data(query, { filter: { name: null, parentId: null } });
  assert.deepEqual(unfiltered.nodes, (await api.data("{ models(first: 2) { nodes { name } } }")).models.nodes);
  const { models: made } = await api.data(query, { filter: { root: false } });
  assert.deepEqual(made.nodes, [{ name: "page c" }, { name: "page b" }]);
  const { models: registered } = await api.data(query, { filter: { name: "page", root: true, parentId: null } });
  assert.deepEqual(registered.nodes, [{ name: "page parent" }]);
  const { models: none } = await api.data(query, { filter: { parentId: "x" } });
  assert.deepEqual([none.nodes, none.pageInfo], [[], { hasNextPage: false, endCursor: null }]);
});

test("lists go from either end, tell how many they have, and by each order to the same end", async () => {
  const { store } = api.services;
  const parent = await newModel(store, "walked");
  const names = ["b", "a", "c", "a", "b"];
  for (const [i, name] of names.entries()) {
    const { id } = await newModel(store, name, parent.id);
    await store.prisma.model.update({ where: { id }, data: { parameterCount: [7e9, 3, 7e9, 2, 5][i] as number } });
  }
  type Listed = { nodes: { id: string; name: string }[]; totalCount: number; pageInfo: Record<string, string | boolean | null> };
  const fields = "nodes { id name } totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";
  const filter = `filter: { parentId: "${parent.id}" }`;
  const list = async (args: string): Promise<Listed> => (await api.data(`{ models(${filter}, ${args}) { ${fields} } }`)).models;
  const nested = async (args: string): Promise<Listed> =>
    (await api.data(`{ model(id: "${parent.id}") { children(${args}) { ${fields} } } }`)).model.children;
  const orders = ["NEWEST_FIRST", "OLDEST_FIRST", "NAME", "LARGEST_FIRST", "SMALLEST_FIRST"];
  const ways = orders.flatMap((order) =>
    [list, nested].map((from) => [order, (args: string) => from(`orderBy: ${order}, ${args}`)] as const),
  );
  for (const [order, ask] of [...ways, ["children", nested] as const]) {
    const whole = await ask("first: 100");
    if (order !== "children") assert.deepEqual(whole, await list(`orderBy: ${order}, first: 100`));
    assert.deepEqual([whole.nodes.length, whole.totalCount], [5, 5], order);
    const walked = { forward: [] as string[], backward: [] as string[] };
    for (let after: unknown = null, more: unknown = true; more; ) {
      const { nodes, totalCount, pageInfo } = await ask(`first: 2${after ? `, after: "${after}"` : ""}`);
      assert.deepEqual([totalCount, pageInfo["hasPreviousPage"]], [5, after !== null]);
      walked.forward.push(...nodes.map(({ id }) => id));
      [after, more] = [pageInfo["endCursor"], pageInfo["hasNextPage"]];
    }
    for (let before: unknown = null, more: unknown = true; more; ) {
      const { nodes, pageInfo } = await ask(`last: 2${before ? `, before: "${before}"` : ""}`);
      assert.equal(pageInfo["hasNextPage"], before !== null);
      walked.backward.unshift(...nodes.map(({ id }) => id));
      [before, more] = [pageInfo["startCursor"], pageInfo["hasPreviousPage"]];
    }
    const ids = whole.nodes.map(({ id }) => id);
    assert.deepEqual(walked, { forward: ids, backward: ids }, order);
  }
  assert.deepEqual(
    (await list("orderBy: NAME")).nodes.map(({ name }) => name),
    names.toSorted(),
  );
  assert.deepEqual(
    (await nested("orderBy: SMALLEST_FIRST")).nodes.map(({ name }) => name),
    ["a", "a", "b", "b", "c"],
  );
  for (const [args, code, argument] of [
    ["first: 1, last: 1", "BAD_USER_INPUT", "last"],
    ['last: 1, after: "x"', "BAD_USER_INPUT", "after"],
    ['before: "x"', "BAD_USER_INPUT", "before"],
    ["last: 101", "BAD_USER_INPUT", "last"],
    [`orderBy: NAME, after: "${parent.id}"`, "BAD_CURSOR", "after"],
    ['last: 1, before: "x"', "BAD_CURSOR", "before"],
  ] as const) {
    for (const query of [`{ models(${args}) { nodes { id } } }`, `{ model(id: "${parent.id}") { children(${args}) { nodes { id } } } }`]) {
      const { errors } = await api.ask(query);
      assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], [code, argument], query);
    }
  }
});

test("a model's runs are listed in every order as they are at the top", async () => {
  const { store } = api.services;
  const run = await newRun(store);
  const subject = { modelId: run.modelId as string, datasetId: run.datasetId as string };
  for (const priority of [1, 0, 2, 1])
    await createPruningRun(store, { ...subject, priority, method: "PIP", options: defaultPruningOptions }, async () => {});
  for (const orderBy of ["NEWEST_FIRST", "OLDEST_FIRST", "QUEUE"])
    for (const page of ["first: 2", "last: 2"]) {
      const cursors: Record<string, string> = { top: "", nested: "" };
      for (let more = true; more; ) {
        const list = (after: string) =>
          `(${page}, orderBy: ${orderBy} ${after}) { nodes { id priority } pageInfo { startCursor endCursor hasNextPage hasPreviousPage } }`;
        const { pruningRuns: top } = await api.data(
          `{ pruningRuns${list(`, filter: { modelId: "${subject.modelId}" } ${cursors["top"]}`)} }`,
        );
        const { model } = await api.data(`{ model(id: "${subject.modelId}") { pruningRuns${list(cursors["nested"] as string)} } }`);
        assert.deepEqual(model.pruningRuns, top, `${orderBy} ${page}`);
        const [name, cursor] = page.startsWith("first") ? ["after", top.pageInfo.endCursor] : ["before", top.pageInfo.startCursor];
        cursors["top"] = cursors["nested"] = `, ${name}: "${cursor}"`;
        more = page.startsWith("first") ? top.pageInfo.hasNextPage : top.pageInfo.hasPreviousPage;
      }
    }
  await store.prisma.run.deleteMany({ where: { modelId: subject.modelId } });
});

test("lists are filtered by when their records came, and runs by what they do", async () => {
  const { store } = api.services;
  const early = await newModel(store, "a time early");
  const late = await newModel(store, "a time late");
  await store.prisma.model.update({ where: { id: early.id }, data: { createdAt: new Date("2020-01-01T00:00:00Z") } });
  const models = async (filter: string) => {
    const { nodes, totalCount } = (await api.data(`{ models(filter: { name: "a time", ${filter} }) { nodes { id } totalCount } }`)).models;
    assert.equal(totalCount, nodes.length);
    return nodes.map(({ id }: { id: string }) => id);
  };
  assert.deepEqual(await models('createdBefore: "2021-01-01T00:00:00Z"'), [early.id]);
  assert.deepEqual(await models('createdAfter: "2020-01-01T00:00:00Z"'), [late.id]);
  assert.deepEqual(await models("createdAfter: null, createdBefore: null"), [late.id, early.id]);
  const { id, datasetId } = await newRun(store);
  for (const [filter, found] of [
    [`datasetId: "${datasetId}", methods: [PIP], statuses: [QUEUED]`, [{ id }]],
    [`datasetId: "${datasetId}", methods: [RANDOM]`, []],
    [`datasetId: "${datasetId}", statuses: [RUNNING]`, []],
    ['datasetId: "x"', []],
  ] as const)
    assert.deepEqual((await api.data(`{ pruningRuns(filter: { ${filter} }) { nodes { id } } }`)).pruningRuns.nodes, found, filter);
  const { evaluations } = await api.data(`{ evaluations(filter: { comparisonKey: "${"0".repeat(64)}" }) { nodes { id } totalCount } }`);
  assert.deepEqual(evaluations, { nodes: [], totalCount: 0 });
});

test("what does not exist is null", async () => {
  const answer = await api.data(
    '{ model(id: "x") { id } pruningRun(id: "00000000-0000-7000-8000-000000000000") { id } evaluation(id: "") { id } }',
  );
  assert.deepEqual(answer, { model: null, pruningRun: null, evaluation: null });
});

test("a list of any length and all that its models refer to take a fixed number of SQL statements", async () => {
  const { store } = api.services;
  const parent = await newModel(store, "ancestor");
  const dataset = await newDataset(store);
  for (let i = 0; i < 12; i++) {
    const { id: modelId } = await newModel(store, `many ${i}`, parent.id);
    await newModel(store, `grandchild ${i}`, modelId);
    const lengths = { sequenceLength: 8, stride: 8, maxTokens: null, maxItems: null };
    const settings = { ...lengths, measureSpeed: false, executionProvider: "CPU" } as const;
    await createEvaluation(store, { modelId, dataset, settings, overlapRatio: 0 }, async () => {});
    const { id } = await createPruningRun(
      store,
      { modelId, method: "PIP", options: defaultPruningOptions, datasetId: dataset.id },
      async () => {},
    );
    await insertScores(store.prisma, id, 0, [{ kind: "LAYER", indexes: [0, 1], scores: [0.5, 0.25] }]);
  }
  const query = `query($first: Int!, $root: ID!) {
    models(first: $first, filter: { name: "many" }) { nodes {
      parent { name } producedBy { id } files { path } structures { index }
      children(first: 1) { nodes { id producedBy { id ... on PruningRun { iterations { index } } } } }
      pruningRuns(first: 1) { nodes { id dataset { id } queuePosition from { id } model { name } resultModel { id } iterations { index }
        scores(first: 1, orderBy: SCORE_ASCENDING) { nodes { index score } } } }
      evaluations(first: 1) { nodes { id model { name } dataset { id } retained { accuracyRatio } } }
    } }
    lineage(modelId: $root, depth: $first) { nodes { name producedBy { id } } edges { child { parent { id } } } }
  }`;
  const once = async (first: number): Promise<number> => {
    const { data, statements } = await countingStatements(() => api.ask(query, { first, root: parent.id }));
    assert.equal(data.models.nodes.filter((m: { evaluations: { nodes: object[] } }) => m.evaluations.nodes.length === 1).length, first);
    for (const { pruningRuns } of data.models.nodes) assert.deepEqual(pruningRuns.nodes[0].scores.nodes, [{ index: 1, score: 0.25 }]);
    return statements;
  };
  // Two answers that a busy machine keeps apart are asked for apart: the fewest of three is what it takes.
  const statementsFor = async (first: number): Promise<number> => Math.min(await once(first), await once(first), await once(first));
  const few = await statementsFor(2);
  assert.ok(few > 10 && few < 30, `${few} statements`);
  assert.equal(await statementsFor(12), few);
});

/** What PostgreSQL is sent by the API meanwhile; the queue's own looking after itself is left out. */
async function countingStatements(work: () => Promise<Answer>): Promise<Answer & { statements: number }> {
  const { query } = pg.Client.prototype;
  let statements = 0;
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const text = typeof args[0] === "string" ? args[0] : (args[0] as { text?: string }).text;
    if (text && !/pgboss/.test(text)) statements++;
    return (query as (...args: unknown[]) => unknown).apply(this, args);
  } as typeof query;
  try {
    const answer = await work();
    return { ...answer, statements };
  } finally {
    pg.Client.prototype.query = query;
  }
}
