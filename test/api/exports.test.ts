import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { materialise } from "../../src/artifacts/model-files.ts";
import { fsck } from "../../src/services/fsck.ts";
import { createToken } from "../../src/store/tokens.ts";
import { ahabFolder } from "../support/ahab.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { runPython, withoutPackages } from "../support/python.ts";
import { generates } from "../support/support.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let modelId: string;
before(async () => {
  api = await testApi({ server: { recheckMs: 20 } });
  modelId = (await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }')).registerModel.model.id;
});
after(() => api.close());

const start = "mutation($input: StartExportInput!) { startExport(input: $input) { run { id kind model { id } } } }";
const fields =
  "id format weights digest sizeBytes repository archiveUrl remarks model { id } run { id } files { path sha256 sizeBytes url }";

async function exported(input: Record<string, unknown>) {
  const { run } = (await api.data(start, { input })).startExport;
  const query = `query($id: ID!) { run(id: $id) { status error { code message } ... on ExportRun { result { ${fields} } } } }`;
  const ended = await until("the run ends", async () => {
    const found = (await api.data(query, { id: run.id })).run;
    return ["QUEUED", "RUNNING"].includes(found.status) ? null : found;
  });
  assert.equal(ended.status, "SUCCEEDED", JSON.stringify(ended.error));
  return { runId: run.id as string, ...ended.result };
}

const findings = async () => {
  const found = [];
  for await (const finding of fsck({ ...api.services, repair: false, graceMs: 0 })) found.push(finding);
  return found;
};

test("a model is written once, and its export is a repository of its own", async () => {
  const input = { subject: { modelId }, format: "ONNX" };
  const first = await exported(input);
  assert.equal(first.model.id, modelId);
  assert.equal((await exported({ ...input, weights: "AS_IS" })).runId, first.runId);
  const { model } = await api.data(`query($id: ID!) { model(id: $id) { exports { ${fields} } } }`, { id: modelId });
  assert.deepEqual(
    model.exports,
    [{ ...first, runId: undefined }].map(({ runId: _, ...rest }) => rest),
  );
  const base = new URL(api.url).origin;
  assert.match(first.repository, new RegExp(`^espalier/ahab-onnx-${first.digest.slice(0, 10)}$`));
  for (const { url, sizeBytes } of first.files) assert.equal((await (await fetch(base + url)).arrayBuffer()).byteLength, sizeBytes, url);
  const info = (await (await fetch(`${base}/api/models/${first.repository}`)).json()) as Record<string, unknown>;
  assert.deepEqual([info["id"], info["sha"]], [first.repository, first.digest.slice(0, 40)]);
  const { node } = await api.data("query($id: ID!) { node(id: $id) { __typename } }", { id: first.id });
  assert.equal(node.__typename, "ModelExport");
});

test("files of exports are files in use, and go with the export", async () => {
  const { id, runId } = await exported({ subject: { modelId }, format: "ONNX" });
  assert.deepEqual(await findings(), []);
  const { errors } = await api.ask(`mutation { deleteRun(input: { id: "${runId}" }) { deletedId } }`);
  assert.equal(errors?.[0]?.extensions["code"], "RUN_HAS_RESULT");
  await api.data(`mutation { deleteExport(input: { id: "${id}" }) { deletedId } }`);
  const { run, model } = await api.data(`query($run: ID!, $model: ID!) { run(id: $run) { id } model(id: $model) { exports { id } } }`, {
    run: runId,
    model: modelId,
  });
  assert.deepEqual([run, model.exports], [null, []]);
  assert.deepEqual(await findings(), []);
  const again = await api.ask(`mutation { deleteExport(input: { id: "${id}" }) { deletedId } }`);
  assert.equal(again.errors?.[0]?.extensions["code"], "EXPORT_NOT_FOUND");
});

async function ended(id: string): Promise<Record<string, { id: string }>> {
  const query = "query($id: ID!) { run(id: $id) { status error { code message } resultModel { id } } }";
  const run = await until("the run ends", async () => {
    const found = (await api.data(query, { id })).run;
    return ["QUEUED", "RUNNING"].includes(found.status) ? null : found;
  });
  assert.equal(run.status, "SUCCEEDED", JSON.stringify(run.error));
  return run;
}

test("a child leaves with a card that tells what it is, and transformers loads it from here", async () => {
  const prune = "mutation($input: StartPruningInput!) { it: startPruning(input: $input) { run { id } } }";
  const evaluate = "mutation($input: StartEvaluationInput!) { it: startEvaluation(input: $input) { run { id } } }";
  const options = { samples: 4, sequenceLength: 32, targetRatio: 0.1 };
  const pruning = (await api.data(prune, { input: { subject: { modelId }, dataset: { name: "literature-train" }, options } })).it.run;
  const subject = { resultOf: pruning.id };
  const measure = { dataset: { name: "literature-heldout" }, sequenceLength: 32, maxTokens: 64, measureSpeed: false };
  for (const of of [{ modelId }, subject]) await ended((await api.data(evaluate, { input: { subject: of, ...measure } })).it.run.id);
  const written = await exported({ subject, format: "SAFETENSORS" });
  const base = new URL(api.url).origin;
  const fileOf = async (path: string) => {
    const { url } = written.files.find((file: { path: string }) => file.path === path);
    return (await fetch(base + url)).text();
  };
  const card = await fileOf("README.md");
  const { model } = await api.data("query($id: ID!) { model(id: $id) { repository digest } }", { id: modelId });
  assert.match(card, new RegExp(`base_model: "${model.repository}"`));
  for (const said of [
    /library_name: transformers/,
    /literature-heldout/,
    /perplexity/,
    /A run of kind PRUNING/,
    /"seed": /,
    new RegExp(model.digest),
  ])
    assert.match(card, said);
  assert.match(await fileOf("removed.svg"), /^<svg /);
  const cardNow = async () =>
    (await api.data("query($id: ID!) { node(id: $id) { ... on ModelExport { card } } }", { id: written.id })).node.card;
  assert.equal(await cardNow(), card);
  await ended((await api.data(evaluate, { input: { subject, ...measure, maxTokens: 96 } })).it.run.id);
  assert.match(await cardNow(), /"maxTokens": 96/, "what was measured after it was written");
  assert.equal(await fileOf("README.md"), card);
  if (withoutPackages("torch", "transformers")) return;
  const tokens = [5, 17, 42, 3];
  const [found] = await runPython("load_transformers.py", [
    { folder: written.repository, endpoint: base, tokens, prompt: tokens.length, count: 6 },
  ]);
  assert.deepEqual(found.unused, []);
  const child = (await ended(pruning.id))["resultModel"] as { id: string };
  const { files, digest } = (
    await api.data("query($id: ID!) { model(id: $id) { digest files { path sha256 sizeBytes } } }", { id: child.id })
  ).model;
  const folder = await materialise({ dataDirectory: api.services.dataDirectory, digest, files });
  assert.deepEqual(found.text, (await generates(folder, tokens, 6)).slice(tokens.length));
});

test("a model takes its exports with it", async () => {
  await exported({ subject: { modelId }, format: "ONNX" });
  await api.data(`mutation { deleteModel(input: { id: "${modelId}", keepDescendants: true }) { deletedId } }`);
  assert.equal(await api.services.store.prisma.modelExport.count({ where: { modelId } }), 0);
  assert.deepEqual(await findings(), []);
  const { errors } = await api.ask(start, { input: { subject: { modelId }, format: "ONNX" } });
  assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], ["MODEL_NOT_FOUND", "input.subject.modelId"]);
});

test("where there are tokens, transformers loads a model by showing one", { skip: withoutPackages("torch", "transformers") }, async () => {
  const { registerModel } = await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }');
  const { repository } = await exported({ subject: { modelId: registerModel.model.id }, format: "SAFETENSORS" });
  const { secret } = await createToken(api.services.store.prisma, { name: "reader", role: "READ", expiresAt: null });
  const endpoint = new URL(api.url).origin;
  await until("the token is known of", async () => (await fetch(`${endpoint}/api/models/${repository}`)).status === 401);
  const tokens = [5, 17, 42, 3];
  const row = { folder: repository, endpoint, tokens, prompt: tokens.length, count: 6, mayFail: true };
  const [without, shown] = await runPython("load_transformers.py", [
    { ...row, token: null },
    { ...row, token: secret },
  ]);
  assert.match(without.refused, /401|[Uu]nauthorized|gated repo/);
  assert.deepEqual([shown.unused, shown.text], [[], (await generates(ahabFolder, tokens, 6)).slice(tokens.length)]);
});
