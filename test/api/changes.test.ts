import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openArtifacts } from "../../src/artifacts/artifacts.ts";
import { beginAudit } from "../../src/store/audit.ts";
import { recordPruned, recordStart } from "../../src/store/pruning-runs.ts";
import { cancelRun, insertRun } from "../../src/store/runs.ts";
import { createToken } from "../../src/store/tokens.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { claimPruningRun, inspected, newDataset, newModel, newRun } from "../support/records.ts";

let api: TestApi;
before(async () => {
  api = await testApi({ worker: false });
});
after(() => api.close());

const nobody = "00000000-0000-7000-8000-000000000000";

const refusal = async (query: string, variables = {}) => {
  const { errors } = await api.ask(query, variables);
  return [errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]];
};

test("a model's name, note and tags are changed one by one; what is left out stays", async () => {
  const { id } = await newModel(api.services.store, "plain");
  const update = "mutation($input: UpdateModelInput!) { updateModel(input: $input) { model { id name note tags } } }";
  const changed = async (input: object) => (await api.data(update, { input: { id, ...input } })).updateModel.model;
  assert.deepEqual(await changed({}), { id, name: "plain", note: "", tags: [] });
  assert.deepEqual(await changed({ name: " fancy ", tags: ["x", "the best"] }), { id, name: "fancy", note: "", tags: ["x", "the best"] });
  const note = "Two lines,\n\tone of them indented.";
  assert.deepEqual(await changed({ note, name: null, tags: null }), { id, name: "fancy", note, tags: ["x", "the best"] });
  const tagged = async (tags: string[]) =>
    (await api.data("query($tags: [String!]) { models(filter: { tags: $tags }) { nodes { id } } }", { tags })).models.nodes;
  assert.deepEqual([await tagged(["the best", "x"]), await tagged(["x", "y"])], [[{ id }], []]);
  assert.deepEqual(await changed({ note: "", tags: [] }), { id, name: "fancy", note: "", tags: [] });
  for (const [input, argument] of [
    [{ name: "" }, "input.name"],
    [{ name: "a\u001b[31mb" }, "input.name"],
    [{ note: "a\u001b[31mb" }, "input.note"],
    [{ note: "a".repeat(10_001) }, "input.note"],
    [{ tags: ["a", "a"] }, "input.tags"],
    [{ tags: [" a"] }, "input.tags"],
    [{ tags: ["a".repeat(51)] }, "input.tags"],
    [{ tags: Array.from({ length: 21 }, (_, i) => `${i}`) }, "input.tags"],
  ] as const)
    assert.deepEqual(await refusal(update, { input: { id, ...input } }), ["BAD_USER_INPUT", argument], JSON.stringify(input));
  assert.deepEqual(await refusal(update, { input: { id: nobody } }), ["MODEL_NOT_FOUND", "input.id"]);
  assert.deepEqual(await changed({}), { id, name: "fancy", note: "", tags: [] });
});

const register = "mutation($input: RegisterDatasetInput!) { registerDataset(input: $input) { dataset { id name digest } } }";
const registered = async (name: string, text: string) =>
  (await api.data(register, { input: { name, source: { texts: [text] } } })).registerDataset.dataset;

test("a dataset's name, description and tags are changed; names stay one dataset's", async () => {
  const { id } = await registered("one", "Of one.");
  await registered("two", "Of two.");
  const update = "mutation($input: UpdateDatasetInput!) { updateDataset(input: $input) { dataset { name description tags } } }";
  const { updateDataset } = await api.data(update, { input: { id, name: "uno", description: "Uno.", tags: ["x"] } });
  assert.deepEqual(updateDataset.dataset, { name: "uno", description: "Uno.", tags: ["x"] });
  const found = await api.data('{ datasets(filter: { tags: ["x"], form: TEXT }) { nodes { id } } }');
  assert.deepEqual(found.datasets.nodes, [{ id }]);
  assert.deepEqual(await refusal(update, { input: { id, name: "two" } }), ["DATASET_NAME_TAKEN", "input.name"]);
  assert.deepEqual(await refusal(update, { input: { id, name: "literature-train" } }), ["BAD_USER_INPUT", "input.name"]);
  assert.deepEqual(await refusal(update, { input: { id: nobody } }), ["DATASET_NOT_FOUND", "input.id"]);
});

test("a dataset goes with its records once no run works with it; those of the server stay", async () => {
  const { store, dataDirectory } = api.services;
  const { id, digest } = await registered("passing", "It passes.");
  const { id: modelId } = await newModel(store, "of a passing dataset");
  const { options } = await newRun(store);
  const run = await store.prisma.$transaction((tx) => insertRun(tx, { kind: "PRUNING", modelId, method: "PIP", options, datasetId: id }));
  const remove = "mutation($id: ID!) { deleteDataset(input: { id: $id }) { deletedId } }";
  assert.deepEqual(await refusal(remove, { id }), ["DATASET_IN_USE", "input.id"]);
  await cancelRun(store, run.id);
  assert.deepEqual(await refusal(remove, { id }), ["DATASET_IN_USE", "input.id"]);
  await api.data("mutation($id: ID!) { deleteRun(input: { id: $id }) { deletedId } }", { id: run.id });
  const artifacts = await openArtifacts(dataDirectory);
  assert.equal(await artifacts.has(digest), true);
  assert.deepEqual((await api.data(remove, { id })).deleteDataset, { deletedId: id });
  assert.equal(await artifacts.has(digest), false);
  assert.deepEqual(await refusal(remove, { id }), ["DATASET_NOT_FOUND", "input.id"]);
  const again = await registered("passing", "It passes.");
  assert.deepEqual([again.digest, again.id !== id, await artifacts.has(digest)], [digest, true, true]);
  const { datasets } = await api.data('{ datasets(filter: { name: "literature-train" }) { nodes { id } } }');
  assert.deepEqual(await refusal(remove, { id: datasets.nodes[0].id }), ["BAD_USER_INPUT", "input.id"]);
});

test("a run goes with its events once it is over, unless its result or one that wanted it is there", async () => {
  const { store } = api.services;
  const remove = "mutation($id: ID!) { deleteRun(input: { id: $id }) { deletedId } }";
  const { id, options, datasetId } = await newRun(store);
  assert.deepEqual(await refusal(remove, { id }), ["RUN_NOT_OVER", "input.id"]);
  const waiting = await store.prisma.$transaction((tx) =>
    insertRun(tx, { kind: "PRUNING", resultOf: id, method: "PIP", options, datasetId: datasetId as string }),
  );
  await cancelRun(store, id);
  assert.deepEqual(await refusal(remove, { id }), ["RUN_IN_USE", "input.id"]);
  for (const each of [waiting.id, id]) assert.deepEqual((await api.data(remove, { id: each })).deleteRun, { deletedId: each });
  assert.deepEqual(await refusal(remove, { id }), ["RUN_NOT_FOUND", "input.id"]);
  assert.equal(await store.prisma.event.count({ where: { runId: { in: [id, waiting.id] } } }), 0);

  const made = await claimPruningRun(store, (await newRun(store)).id);
  assert.ok(made);
  await recordStart(store, made, { executionProvider: "CPU", parameterCount: 1000, targetParameterCount: 800, candidates: 3 });
  await recordPruned(store, made, inspected("made", 900), null, async () => {});
  assert.deepEqual(await refusal(remove, { id: made.id }), ["RUN_HAS_RESULT", "input.id"]);
  const { resultModelId } = await store.prisma.run.findUniqueOrThrow({ where: { id: made.id } });
  await api.data("mutation($id: ID!) { deleteModel(input: { id: $id }) { deletedId } }", { id: resultModelId });
  await api.data(remove, { id: made.id });
  const entry = await store.prisma.auditEntry.findFirst({ where: { mutation: "deleteRun" }, orderBy: { id: "desc" } });
  assert.deepEqual([entry?.outcome, entry?.resultIds], ["OK", [made.id]]);
});

test("whatever has an identity is found by it; tokens by administrators alone", async () => {
  const { store } = api.services;
  const run = await newRun(store);
  const { id: datasetId } = await newDataset(store);
  const token = (role: "ADMIN" | "READ") => createToken(store.prisma, { name: role, role, expiresAt: null });
  // Once there is a token, the server is open to nobody without one: this test is the last.
  const [admin, reader] = [await token("ADMIN"), await token("READ")];
  const asked = { tokenId: null, tokenName: null, address: "::1", mutation: "deleteRun", arguments: "{}" };
  const entry = await beginAudit(store.prisma, asked);
  const ids = [datasetId, run.modelId, nobody, run.id.toUpperCase(), "x", reader.token.id, run.id, entry];
  const query = "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id ... on PruningRun { method } ... on Model { name } } }";
  const nodes = async (secret: string) => (await api.ask(query, { ids }, secret)).data.nodes;
  const told = { __typename: "PruningRun", id: run.id, method: "PIP" };
  const all = [
    { __typename: "Dataset", id: datasetId },
    { __typename: "Model", id: run.modelId, name: "base" },
    null,
    told,
    null,
    { __typename: "AccessToken", id: reader.token.id },
    told,
    { __typename: "AuditEntry", id: entry },
  ];
  assert.deepEqual(await nodes(admin.secret), all);
  assert.deepEqual(await nodes(reader.secret), all.with(5, null).with(7, null));
  const one = "query($id: ID!) { node(id: $id) { id } }";
  assert.deepEqual((await api.ask(one, { id: run.id }, reader.secret)).data, { node: { id: run.id } });
  const many = await api.ask(query, { ids: Array(101).fill(run.id) }, reader.secret);
  assert.equal(many.errors?.[0]?.extensions["argument"], "ids");
});
