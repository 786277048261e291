import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { ahabFolder } from "../support/ahab.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

// The bundled model from its weights alone, beside the same from its graph. Each test goes on from the one before.

const root = mkdtempSync(join(tmpdir(), "espalier-weights-"));
cpSync(ahabFolder, join(root, "graph"), { recursive: true, filter: (path) => !path.endsWith(".safetensors") });
cpSync(ahabFolder, join(root, "weights"), { recursive: true, filter: (path) => basename(path) !== "onnx" });

let api: TestApi;
before(async () => {
  api = await testApi({ modelRoot: root });
});
after(async () => {
  await api.close();
  rmSync(root, { recursive: true });
});

// biome-ignore lint/suspicious/noExplicitAny: tests read answers as they come
const registered: Record<string, any> = {};

test("a folder of weights is the model that its exported graph is", async () => {
  const register = `mutation($input: RegisterModelInput!) { registerModel(input: $input) { model {
    id parameterCount pruningObstacle { code } files { path }
    architecture { layers hiddenSize vocabularySize contextLength cache { heads headWidth } } structures { kind index parameterCount } } } }`;
  for (const path of ["graph", "weights"]) registered[path] = (await api.data(register, { input: { path } })).registerModel.model;
  const { id, files, ...weights } = registered["weights"];
  const { id: other, files: _, ...graph } = registered["graph"];
  assert.notEqual(id, other);
  assert.deepEqual(weights, graph);
  assert.deepEqual(
    files.map((f: { path: string }) => f.path).filter((path: string) => /onnx|safetensors/.test(path)),
    ["model.onnx", "model.safetensors"],
  );
});

const write = async (modelId: string): Promise<string> => {
  const query = "mutation($input: GenerateInput!) { generate(input: $input) { text } }";
  return (await api.data(query, { input: { modelId, prompt: { text: "The white whale" }, maxTokens: 24 } })).generate.text;
};

test("it writes what that writes", async () => {
  assert.equal(await write(registered["weights"].id), await write(registered["graph"].id));
});

test("it is pruned, and its child writes", async () => {
  const input = {
    subject: { modelId: registered["weights"].id },
    dataset: { name: "literature-train" },
    options: { targetRatio: 0.1, samples: 4, sequenceLength: 48, structureKinds: ["HEAD", "CHANNEL"] },
  };
  const {
    startPruning: { run: asked },
  } = await api.data("mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }", { input });
  const query =
    "query($id: ID!) { pruningRun(id: $id) { status error { code message } resultModel { id parameterCount files { path } } } }";
  const run = await until("the run ends", async () => {
    const { pruningRun } = await api.data(query, { id: asked.id });
    return ["QUEUED", "RUNNING"].includes(pruningRun.status) ? null : pruningRun;
  });
  assert.equal(run.status, "SUCCEEDED", JSON.stringify(run.error));
  assert.ok(run.resultModel.parameterCount < 0.91 * registered["weights"].parameterCount);
  assert.ok(!run.resultModel.files.some((f: { path: string }) => f.path.endsWith(".safetensors")));
  assert.ok((await write(run.resultModel.id)).length > 10);
});

test("a folder that is cut short is refused with file and reason, and leaves nothing behind", async () => {
  cpSync(join(root, "weights"), join(root, "short"), { recursive: true });
  truncateSync(join(root, "short", "model.safetensors"), 2_000_000);
  const count = () => api.services.store.prisma.model.count();
  const before = await count();
  const { errors } = await api.ask('mutation { registerModel(input: { source: { path: "short" } }) { model { id } } }');
  assert.equal(errors?.[0]?.extensions["code"], "INVALID_SAFETENSORS");
  assert.match(errors?.[0]?.message ?? "", /^model\.safetensors: tensor ".*" ends at byte \d+, but the file has 2000000 bytes$/);
  assert.equal(await count(), before);
});
