import assert from "node:assert/strict";
import { mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { startServer } from "../../src/api/server.ts";
import { modelRoot } from "../support/ahab.ts";
import { type Answer, type TestApi, testApi } from "../support/api.ts";
import { processorMs } from "../support/processor-time.ts";
import { until } from "../support/wait.ts";

// The bundled model's whole life through the API. Each test goes on from the one before.

let api: TestApi;
let ahab: { readonly id: string; readonly parameterCount: number };
let prunedId: string;
before(async () => {
  api = await testApi();
});
after(() => api.close());

const register = `mutation($input: RegisterModelInput!) { registerModel(input: $input) { model {
  id name parameterCount sizeBytes opset parent { id } producedBy { id }
  architecture { layers hiddenSize vocabularySize contextLength dataType cache { heads headWidth } }
  operators { operator count } structures(kinds: [LAYER]) { index parameterCount } files { path sha256 }
} } }`;

test("the bundled model is registered, and registered again is the same model", async () => {
  const {
    registerModel: { model },
  } = await api.data(register, { input: { path: "ahab" } });
  assert.equal(model.name, "ahab");
  assert.equal(model.parameterCount, 1_415_520);
  assert.deepEqual(model.architecture, {
    layers: 12,
    hiddenSize: 96,
    vocabularySize: 2048,
    contextLength: 512,
    dataType: "float32",
    cache: Array(12).fill({ heads: 2, headWidth: 24 }),
  });
  assert.equal(model.structures.length, 12);
  assert.ok(model.operators.some((o: { operator: string }) => o.operator === "MatMul"));
  assert.ok(model.files.some((f: { path: string }) => f.path === "onnx/model.onnx"));
  assert.deepEqual([model.parent, model.producedBy], [null, null]);
  const {
    registerModel: { model: again },
  } = await api.data(register, { input: { path: "./ahab/", name: "another name" } });
  assert.deepEqual([again.id, again.name], [model.id, "ahab"]);
  ahab = model;
});

test("no view is longer than the context that the model was made for", async () => {
  const input = { subject: { modelId: ahab.id }, dataset: { name: "literature-train" }, options: { sequenceLength: 513 } };
  const { errors } = await api.ask("mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }", { input });
  assert.deepEqual(
    [errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]],
    ["BAD_USER_INPUT", "input.options.sequenceLength"],
  );
});

test("what is no model is refused with the reason, and nothing is stored", async () => {
  const root = mkdtempSync(join(tmpdir(), "espalier-models-"));
  writeFileSync(join(root, "text.onnx"), "This is no model.");
  symlinkSync(join(modelRoot, "ahab"), join(root, "outside"));
  const server = await startServer({ ...api.services, modelRoot: root }, "127.0.0.1", 0, pino({ level: "silent" }));
  const count = () => api.services.store.prisma.model.count();
  try {
    const stored = await count();
    const refusals = {
      "text.onnx": "INVALID_ONNX",
      outside: "PATH_OUTSIDE_MODEL_ROOT",
      "../ahab": "PATH_OUTSIDE_MODEL_ROOT",
      "/etc": "PATH_OUTSIDE_MODEL_ROOT",
      nowhere: "MODEL_NOT_FOUND",
    };
    for (const [path, code] of Object.entries(refusals)) {
      const body = JSON.stringify({ query: register, variables: { input: { source: { path } } } });
      const response = await fetch(server.url, { method: "POST", headers: { "content-type": "application/json" }, body });
      const { errors } = (await response.json()) as Answer;
      assert.deepEqual([errors?.[0]?.extensions["code"], errors?.[0]?.extensions["argument"]], [code, "input.source.path"], path);
    }
    for (const path of ["nowhere", "../ahab", ""]) {
      const body = JSON.stringify({ query: register, variables: { input: { path } } });
      const response = await fetch(server.url, { method: "POST", headers: { "content-type": "application/json" }, body });
      assert.equal(
        ((await response.json()) as Answer).errors?.[0]?.extensions["argument"],
        "input.path",
        `"${path}" by the older argument`,
      );
    }
    assert.equal(await count(), stored);
  } finally {
    await server.stop();
  }
});

const generate = `subscription($input: GenerateInput!) { generate(input: $input) {
  __typename
  ... on GenerationDelta { text tokenIds }
  ... on GenerationCompleted { summary { finishReason promptTokens completionTokens timeToFirstTokenMs tokensPerSecond } }
} }`;

test("it writes: streamed and at once, the same text", async () => {
  const input = { modelId: ahab.id, prompt: { text: "The whale" }, maxTokens: 24 };
  let [text, tokens] = ["", 0];
  let summary: { finishReason: string; completionTokens: number } | undefined;
  for await (const { data, errors } of api.socket().iterate({ query: generate, variables: { input } })) {
    assert.equal(errors, undefined);
    // biome-ignore lint/suspicious/noExplicitAny: one of two types
    const event = data?.["generate"] as any;
    if (event.__typename === "GenerationCompleted") summary = event.summary;
    else if (event.__typename === "GenerationDelta") [text, tokens] = [text + event.text, tokens + event.tokenIds.length];
  }
  assert.deepEqual([summary?.finishReason, summary?.completionTokens, tokens], ["LENGTH", 24, 24]);
  const query = "mutation($input: GenerateInput!) { generate(input: $input) { text tokenIds summary { completionTokens } } }";
  const { generate: whole } = await api.data(query, { input });
  assert.equal(whole.text, text);
  assert.equal(whole.tokenIds.length, 24);
});

test("a client that leaves stops what it asked for", async () => {
  const { loaded } = api.services.generators as unknown as { loaded: Map<string, { active: number }> };
  const active = () => [...loaded.values()].reduce((sum, model) => sum + model.active, 0);
  const input = { modelId: ahab.id, prompt: { text: "The whale" }, maxTokens: 500, temperature: 1 };
  for await (const { errors } of api.socket().iterate({ query: generate, variables: { input } })) {
    assert.equal(errors, undefined);
    assert.equal(active(), 1);
    break;
  }
  await until("the generation ends", () => active() === 0);
  const leaving = new AbortController();
  const query = "mutation($input: GenerateInput!) { generate(input: $input) { text } }";
  const headers = { "content-type": "application/json" };
  const answer = fetch(api.url, { method: "POST", headers, body: JSON.stringify({ query, variables: { input } }), signal: leaving.signal });
  await until("the generation begins", () => active() === 1);
  leaving.abort();
  await assert.rejects(answer);
  await until("the generation ends", () => active() === 0);
  assert.deepEqual(api.log, []);
});

test("it is pruned while the API goes on answering, and its child is its family", async (t) => {
  const dataset = { name: "literature-train" };
  const options = { targetRatio: 0.2, samples: 8, sequenceLength: 64 };
  const {
    startPruning: { run },
  } = await api.data(
    "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id status options { targetRatio samples perturbation { rate } } } } }",
    {
      input: { subject: { modelId: ahab.id }, dataset, options },
    },
  );
  assert.deepEqual(run.options, { targetRatio: 0.2, samples: 8, perturbation: { rate: 1 } });

  const taken: number[] = [];
  let over = false;
  const health = (async () => {
    while (!over) {
      // What this process computes until the answer is there, and not how long others keep it from the processor.
      taken.push(await processorMs(async () => assert.equal((await fetch(api.url.replace("/graphql", "/healthz"))).status, 200)));
      await delay(10); // or this alone would keep a core busy
    }
  })();
  const types: string[] = [];
  const query = `subscription($runId: ID!) { runProgress(runId: $runId) { __typename sequence
    ... on PruningIterationCompleted { removed { kind index score } parameterCount }
    ... on PruningSucceeded { resultModel { id name parameterCount } }
    ... on RunFailed { error { code message } } } }`;
  // biome-ignore lint/suspicious/noExplicitAny: one of many types
  let last: any;
  for await (const { data, errors } of api.socket().iterate({ query, variables: { runId: run.id } })) {
    assert.equal(errors, undefined);
    last = data?.["runProgress"];
    types.push(last.__typename);
  }
  over = true;
  await health;
  assert.equal(last.__typename, "PruningSucceeded", JSON.stringify(last));
  assert.equal(types[0], "PruningStarted");
  assert.ok(types.filter((type) => type === "PruningIterationCompleted").length >= 2);
  const removedRatio = 1 - last.resultModel.parameterCount / ahab.parameterCount;
  assert.ok(removedRatio >= 0.2 && removedRatio < 0.3, `${removedRatio}`);
  const median = taken.sort((a, b) => a - b)[Math.floor(taken.length / 2)] as number;
  t.diagnostic(
    `median of ${taken.length} health requests: ${median.toFixed(1)} ms of the processor, the most ${taken.at(-1)?.toFixed(0)} ms`,
  );
  assert.ok(taken.length >= 10 && median < 100);
  prunedId = last.resultModel.id;
  const { lineage } = await api.data(
    "query($modelId: ID!) { lineage(modelId: $modelId) { nodes { id producedBy { id status ... on PruningRun { method } } } edges { parent { id } child { id } } } }",
    { modelId: ahab.id },
  );
  assert.deepEqual(lineage.nodes[1], { id: prunedId, producedBy: { id: run.id, method: "PIP", status: "SUCCEEDED" } });
  assert.deepEqual(lineage.edges, [{ parent: { id: ahab.id }, child: { id: prunedId } }]);
});

test("the child writes and is measured like any model", async () => {
  const writing = { modelId: prunedId, prompt: { text: "The whale" }, maxTokens: 8 };
  const { generate: written } = await api.data("mutation($input: GenerateInput!) { generate(input: $input) { tokenIds } }", {
    input: writing,
  });
  assert.equal(written.tokenIds.length, 8);
  const input = { subject: { modelId: prunedId }, dataset: { name: "literature-heldout" }, maxTokens: 2000 };
  const {
    startEvaluation: { run: asked },
  } = await api.data(
    "mutation($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { id status sequenceLength maxTokens } } }",
    { input },
  );
  assert.deepEqual([asked.status, asked.sequenceLength, asked.maxTokens], ["QUEUED", 256, 2000]);
  const query =
    "query($id: ID!) { evaluation(id: $id) { status error { code message } model { id } result { tokenCount perplexity nextTokenAccuracy } } }";
  const evaluation = await until("the evaluation ends", async () => {
    const answer = (await api.data(query, { id: asked.id })).evaluation;
    return ["QUEUED", "RUNNING"].includes(answer.status) ? null : answer;
  });
  assert.equal(evaluation.status, "SUCCEEDED", JSON.stringify(evaluation.error));
  assert.deepEqual(evaluation.model, { id: prunedId });
  assert.ok(evaluation.result.perplexity > 1 && evaluation.result.nextTokenAccuracy > 0.1);
  const { model } = await api.data("query($id: ID!) { model(id: $id) { evaluations { nodes { id } } } }", { id: prunedId });
  assert.deepEqual(model.evaluations.nodes, [{ id: asked.id }]);
});
