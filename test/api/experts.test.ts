import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type TestApi, testApi } from "../support/api.ts";
import { encoderRoot } from "../support/encoders.ts";
import { until } from "../support/wait.ts";

const experts = fileURLToPath(new URL("../fixtures/experts/", import.meta.url));
let [api, modelRoot]: [TestApi | null, string] = [null, ""];
before(async () => {
  modelRoot = await mkdtemp(join(tmpdir(), "espalier-experts-"));
  for (const name of ["deepseek_v3", "deepseek_v3_groups"]) {
    await cp(join(experts, name), join(modelRoot, name), { recursive: true });
    await cp(join(encoderRoot, "bert_mlm", "tokenizer.json"), join(modelRoot, name, "tokenizer.json"));
  }
  api = await testApi({ modelRoot });
});
after(async () => {
  await api?.close();
  await rm(modelRoot, { recursive: true, force: true });
});

const group = "kind index count layer parameterCount";
const register = `mutation($path: String!) { registerModel(input: { source: { path: $path } }) { model { id parameterCount structures { ${group} } } } }`;
const planned = `query($input: StartPruningInput!) { pruningPlan(input: $input) { reachableRatio structures { kind count removable parameterCount } } }`;
const pruned = `... on PruningRun { removed(iteration: 0, first: 9) { nodes { kind index } } structureMap(kind: CHANNEL, cells: 1) { rows { count gone goneSince } }
  resultModel { id parameterCount structures { ${group} } } }`;
const text = "the white whale was in the sea and the old man and his eye in the night. ".repeat(4);
const dataset = { texts: [text] };
const options = { samples: 2, sequenceLength: 16, structureKinds: ["EXPERT"], targetRatio: 0.05, executionProvider: "CPU" };

// biome-ignore lint/suspicious/noExplicitAny: tests read answers as they come
const data = async (query: string, variables: Record<string, unknown>): Promise<any> => (api as TestApi).data(query, variables);

/** A run once it has ended. */
const ended = (id: string, wanted: string) =>
  until("the run ends", async () => {
    const { run } = await data(`query($id: ID!) { run(id: $id) { status finishedAt error { code message } ${wanted} } }`, { id });
    return run.finishedAt === null ? null : run;
  });

test("a mixture of experts is registered, planned, pruned by an expert, measured and served", async () => {
  const { model } = (await data(register, { path: "deepseek_v3" })).registerModel;
  const input = { subject: { modelId: model.id }, dataset, options };
  const expert = model.structures.find((g: { kind: string }) => g.kind === "EXPERT");
  const { structures, reachableRatio } = (await data(planned, { input })).pruningPlan;
  // Each token is sent to two of three: so one may go.
  assert.deepEqual(structures, [{ kind: "EXPERT", count: 3, removable: 1, parameterCount: expert.parameterCount }]);
  assert.ok(Math.abs(reachableRatio - expert.parameterCount / model.parameterCount) < 1e-9);

  const start = "mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }";
  const beyond = { ...input, options: { ...options, targetRatio: reachableRatio + 0.01 } };
  const failed = await ended((await data(start, { input: beyond })).startPruning.run.id, "");
  assert.equal(failed.error?.code, "TARGET_UNREACHABLE", JSON.stringify(failed.error));
  const run = await ended((await data(start, { input })).startPruning.run.id, pruned);
  assert.equal(run.status, "SUCCEEDED", JSON.stringify(run.error));
  const [{ kind, index }, ...others] = run.removed.nodes;
  assert.deepEqual([kind, others], ["EXPERT", []]);
  const child = run.resultModel;
  assert.equal(child.parameterCount, model.parameterCount - expert.parameterCount);
  assert.deepEqual(
    child.structures.filter((g: { kind: string }) => g.kind === "EXPERT").map((g: { count: number }) => g.count),
    [2],
  );
  // The MLP without experts comes first, the expert for all last.
  assert.deepEqual(
    run.structureMap.rows.map((row: { gone: number[]; goneSince: (number | null)[] }) => [row.gone[0], row.goneSince[0]]),
    [-1, 0, 1, 2, -2].map((of) => (of === index ? [20, 0] : [0, null])),
  );

  const evaluate = "mutation($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { id } } }";
  const measured = { subject: { modelId: child.id }, dataset, sequenceLength: 16, allowOverlap: true };
  const evaluation = await ended(
    (await data(evaluate, { input: measured })).startEvaluation.run.id,
    "... on Evaluation { result { perplexity } }",
  );
  assert.ok(evaluation.result?.perplexity > 1, JSON.stringify(evaluation));
  const generate = "mutation($input: GenerateInput!) { generate(input: $input) { choices { tokenIds } } }";
  const { choices } = (await data(generate, { input: { modelId: child.id, prompt: { text: "the white whale" }, maxTokens: 4 } })).generate;
  assert.ok(choices[0].tokenIds.length > 0);
});

test("experts that are chosen by groups are refused before anything starts", async () => {
  const { model } = (await data(register, { path: "deepseek_v3_groups" })).registerModel;
  assert.ok(!model.structures.some((g: { kind: string }) => g.kind === "EXPERT"));
  const { errors } = await (api as TestApi).ask(planned, { input: { subject: { modelId: model.id }, dataset, options } });
  assert.equal(errors?.[0]?.extensions["argument"], "input.options.structureKinds", JSON.stringify(errors));
});
