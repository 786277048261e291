import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fsck } from "../../src/services/fsck.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let modelId: string;
before(async () => {
  api = await testApi();
  modelId = (await api.data('mutation { registerModel(input: { path: "ahab" }) { model { id } } }')).registerModel.model.id;
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

test("a model takes its exports with it", async () => {
  await exported({ subject: { modelId }, format: "ONNX" });
  await api.data(`mutation { deleteModel(input: { id: "${modelId}" }) { deletedId } }`);
  assert.equal(await api.services.store.prisma.exportFile.count(), 0);
  assert.equal(await api.services.store.prisma.artifact.count({ where: { dataset: null } }), 0);
  const { errors } = await api.ask(start, { input: { subject: { modelId }, format: "ONNX" } });
  assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], ["MODEL_NOT_FOUND", "input.subject.modelId"]);
});
