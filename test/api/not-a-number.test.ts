import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { decode } from "../../src/onnx/decode.ts";
import { encode } from "../../src/onnx/encode.ts";
import { ahabFolder } from "../support/ahab.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { newRun } from "../support/records.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let root: string;
/** The bundled model with one weight that is not a number. */
let modelId: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "espalier-nan-"));
  await cp(ahabFolder, join(root, "nan"), { recursive: true });
  const path = join(root, "nan/onnx/model.onnx");
  const model = decode(await readFile(path));
  const [scale] = [...model.graph.initializers.values()].filter((t) => t.dataType === "float32" && t.dims.length === 1);
  assert.ok(scale && scale.data.kind === "inline");
  new DataView(scale.data.bytes.buffer, scale.data.bytes.byteOffset).setFloat32(0, Number.NaN, true);
  await writeFile(path, encode(model));
  api = await testApi({ modelRoot: root });
  modelId = (await api.data('mutation { registerModel(input: { source: { path: "nan" } }) { model { id } } }')).registerModel.model.id;
});
after(async () => {
  await api.close();
  await rm(root, { recursive: true });
});

const everything = `{
  models(first: 5) { nodes {
    id name parameterCount
    pruningRuns(first: 3) { nodes { status removedRatio error { code } iterations { removed { score } removedRatio loss } scores(first: 3) { nodes { score } edges { cursor } } } }
    evaluations(first: 3) { nodes { status progress error { code } result { perplexity perplexityStandardError decodeTokensPerSecond } retained { accuracyRatio } } }
  } }
}`;

test("what is no number fails its run, its evaluation and its request with that reason, and every list goes on", async () => {
  const options = { samples: 2, sequenceLength: 16 };
  const texts = ["Call me Ishmael. Some years ago, never mind how long precisely, I thought I would sail about a little."];
  const start = "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";
  const { id: runId } = (await api.data(start, { input: { subject: { modelId }, dataset: { texts }, options } })).startPruning.run;
  const evaluate = "mutation($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { id } } }";
  const input = { subject: { modelId }, dataset: { texts }, allowOverlap: true, measureSpeed: false };
  const { id } = (await api.data(evaluate, { input })).startEvaluation.run;
  const of = async (query: string) => (await api.data(query)) as Record<string, { finishedAt: string | null; error: { code: string } }>;
  for (const [query, code] of [
    [`{ it: pruningRun(id: "${runId}") { finishedAt error { code message } } }`, "NON_FINITE_SCORES"],
    [`{ it: evaluation(id: "${id}") { finishedAt error { code message } } }`, "NON_FINITE_LOGITS"],
  ] as const) {
    const { it } = await until("it is over", async () => ((await of(query))["it"]?.finishedAt ? of(query) : null));
    assert.equal(it?.error.code, code);
  }
  const asked = [
    `mutation { generate(input: { modelId: "${modelId}", prompt: { text: "Call me" } }) { text } }`,
    `query { score(input: { modelId: "${modelId}", prompt: "Call", continuations: [" me"] }) { logprob } }`,
  ];
  for (const query of asked) assert.equal((await api.ask(query)).errors?.[0]?.extensions["code"], "NON_FINITE_LOGITS", query);
  const { models } = await api.data(everything);
  assert.equal(models.nodes[0].pruningRuns.nodes[0].status, "FAILED");
});

test("what an earlier version stored of such numbers is null, and lists that hold it are answered", async () => {
  const { prisma } = api.services.store;
  const { id: runId } = await newRun(api.services.store);
  await prisma.iteration.create({
    data: {
      runId,
      index: 0,
      removed: [{ kind: "LAYER", index: 0, score: null, parameterCount: 1 }],
      parameterCount: 1,
      removedRatio: 0,
      loss: Number.NaN,
      durationMs: 1,
    },
  });
  await prisma.$executeRaw`INSERT INTO "StructureScores" ("runId", iteration, kind, "lastIndex", indexes, scores)
    VALUES (${runId}::uuid, 0, 'LAYER', 2, '{0,1,2}', '{NaN,Infinity,1}')`;
  const { models } = await api.data(everything);
  const run = models.nodes
    .flatMap((m: { pruningRuns: { nodes: object[] } }) => m.pruningRuns.nodes)
    .find((r: { status: string }) => r.status === "QUEUED");
  assert.deepEqual(run.iterations, [{ removed: [{ score: null }], removedRatio: 0, loss: null }]);
  assert.deepEqual(
    run.scores.nodes.map((s: { score: number | null }) => s.score),
    [null, null, 1],
  );
});
