import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type TestApi, testApi } from "../support/api.ts";
import { encoderFixtures, encoderRoot } from "../support/encoders.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
const models = new Map<string, string>();
before(async () => {
  api = await testApi({ modelRoot: encoderRoot });
  for (const { name } of encoderFixtures) {
    const { registerModel } = await api.data(
      "mutation($path: String!) { registerModel(input: { source: { path: $path } }) { model { id task parameterCount pruningObstacle { code } } } }",
      { path: name },
    );
    models.set(name, registerModel.model.id);
    assert.equal(registerModel.model.task, encoderFixtures.find((f) => f.name === name)?.expected.task);
  }
});
after(() => api?.close());

const text = "the white whale was in the sea and the old man and his eye in the night. ".repeat(4);
const prune = `mutation($input: StartPruningInput!) { startPruning(input: $input) { run { id } } }`;
const evaluate = `mutation($input: StartEvaluationInput!) { startEvaluation(input: $input) { run { id } } }`;
const small = { samples: 4, sequenceLength: 24, targetRatio: 0.1 };

/** A run once it has succeeded. */
// biome-ignore lint/suspicious/noExplicitAny: tests read answers as they come
async function ended(id: string, wanted: string): Promise<any> {
  return until("the run ends", async () => {
    const { run } = await api.data(`query($id: ID!) { run(id: $id) { status error { code message } ${wanted} } }`, { id });
    if (run.status === "FAILED") throw new Error(JSON.stringify(run.error));
    return run.status === "SUCCEEDED" ? run : null;
  });
}

async function pruned(name: string, dataset: object, more: object = {}): Promise<string> {
  const input = { subject: { modelId: models.get(name) }, dataset, options: { ...small, structureKinds: ["HEAD", "CHANNEL"] }, ...more };
  const { startPruning } = await api.data(prune, { input });
  return (await ended(startPruning.run.id, "... on PruningRun { resultModel { id task } }")).resultModel.id;
}

const metrics =
  "pseudoPerplexity pseudoPerplexityStandardError maskedAccuracy perplexity accuracy f1 f1StandardError spearman spearmanStandardError itemCount";

async function measured(modelId: string | undefined, dataset: object): Promise<Record<string, number | null>> {
  const input = { subject: { modelId }, dataset, sequenceLength: 24, stride: 24, allowOverlap: true };
  const { startEvaluation } = await api.data(evaluate, { input });
  return (await ended(startEvaluation.run.id, `... on Evaluation { result { ${metrics} } }`)).result;
}

async function refused(query: string, variables: object, code: string): Promise<void> {
  const { errors } = await api.ask(query, { ...variables });
  assert.equal(errors?.[0]?.extensions["code"], code, JSON.stringify(errors));
}

async function registered(name: string, records: readonly object[]): Promise<object> {
  await writeFile(join(api.services.datasetRoot, `${name}.jsonl`), records.map((record) => JSON.stringify(record)).join("\n"));
  const register = "mutation($input: RegisterDatasetInput!) { registerDataset(input: $input) { dataset { id form } } }";
  const { registerDataset } = await api.data(register, { input: { name, source: { path: `${name}.jsonl` } } });
  return { id: registerDataset.dataset.id };
}

describe("models that read texts whole", () => {
  it("with a head for masked tokens are pruned, measured, and fill masks", async () => {
    const id = await pruned("bert_mlm", { texts: [text] });
    const result = await measured(id, { texts: [text] });
    assert.ok((result["pseudoPerplexity"] as number) > 1 && (result["pseudoPerplexityStandardError"] as number) > 0);
    assert.ok((result["maskedAccuracy"] as number) >= 0 && result["perplexity"] === null);
    const query = "query($input: FillMaskInput!) { fillMask(input: $input) { tokenId token probability } }";
    for (const [modelId, mask] of [
      [id, "[MASK]"],
      [models.get("roberta_mlm"), "<mask>"],
    ]) {
      const { fillMask } = await api.data(query, { input: { modelId, texts: [`the ${mask} of the ${mask}`, `${mask} man`], topK: 3 } });
      assert.deepEqual(
        fillMask.map((of: readonly unknown[][]) => of.map((m) => m.length)),
        [[3, 3], [3]],
      );
      await refused(query, { input: { modelId, texts: ["none"] } }, "MASK_MISSING");
    }
    // Of 60 positions RoBERTa keeps two; the mask and what frames a text are three tokens.
    const modelId = models.get("roberta_mlm");
    const { model } = await api.data("query($id: ID!) { model(id: $id) { architecture { contextLength } } }", { id: modelId });
    assert.equal(model.architecture.contextLength, 58);
    await api.data(query, { input: { modelId, texts: [`<mask>${"a".repeat(55)}`] } });
    await refused(query, { input: { modelId, texts: [`<mask>${"a".repeat(56)}`] } }, "PROMPT_TOO_LONG");
  });

  it("with classes are pruned by labelled texts, measured, and class texts and pairs", async () => {
    const texts = ["a good day", "bad wind", "the sea", "old man and the sea", "great white whale", "is it night"];
    const records = texts.map((text, i) => ({ text, ...(i % 2 ? { pair: "the ship" } : {}), label: ["bad", "neutral", 2][i % 3] }));
    const dataset = await registered("labelled", records);
    for (const name of ["distilbert_cls", "bert_pairs"]) {
      const id = await pruned(name, dataset, name === "bert_pairs" ? { method: "TAYLOR_VECTOR" } : {});
      const result = await measured(id, dataset);
      assert.equal(result["itemCount"], 6);
      assert.ok((result["accuracy"] as number) >= 0 && (result["f1"] as number) >= 0 && (result["f1StandardError"] as number) >= 0);
      const query = "query($input: ClassifyInput!) { classify(input: $input) { labels { label score } tokens { label } } }";
      const { classify } = await api.data(query, {
        input: { modelId: id, texts: [{ text: "a good day" }, { text: "the sea", pair: "the ship" }] },
      });
      for (const { labels, tokens } of classify) {
        assert.deepEqual(labels.map((l: { label: string }) => l.label).sort(), ["bad", "good", "neutral"]);
        assert.ok(Math.abs(labels.reduce((sum: number, l: { score: number }) => sum + l.score, 0) - 1) < 1e-6);
        assert.deepEqual(tokens, []);
      }
    }
    const tokens =
      'query($m: ID!) { classify(input: { modelId: $m, texts: [{ text: "the white whale" }] }) { labels { label } tokens { token label } } }';
    const { classify } = await api.data(tokens, { m: models.get("bert_tokens") });
    assert.deepEqual(classify[0].labels, []);
    assert.deepEqual(classify[0].tokens.map((t: { token: string }) => t.token).slice(0, 2), ["the", "white"]);
    await pruned("bert_tokens", { texts: [text] }, { method: "WANDA_SP" });
  });

  it("that make vectors are pruned by those, measured by pairs, and pool as their files say", async () => {
    const pairs = ["the sea", "an old man", "white whale", "good wind", "bad night"].map((text, i) => ({
      text,
      pair: i % 2 ? text : "the ship",
      score: i,
    }));
    const dataset = await registered("pairs", pairs);
    const id = await pruned("bert_vectors", { texts: [text] });
    const { spearman, spearmanStandardError } = await measured(id, dataset);
    assert.ok(Math.abs(spearman as number) <= 1 && (spearmanStandardError as number) > 0);
    const query = "query($input: EmbedInput!) { embed(input: $input) }";
    const { embed } = await api.data(query, {
      input: { modelId: models.get("bert_vectors"), texts: ["the white whale was in the sea", "old man"] },
    });
    // modules.json normalises, and 1_Pooling/config.json takes the mean.
    for (const [i, vector] of (embed as number[][]).entries()) {
      const rows = encoderFixtures.find((f) => f.name === "bert_vectors")?.expected.answers[i] as number[][];
      const mean = vector.map((_, k) => rows.reduce((sum, row) => sum + (row[k] as number), 0) / rows.length);
      for (const [k, value] of vector.entries()) assert.ok(Math.abs(value - (mean[k] as number) / Math.hypot(...mean)) < 1e-5);
    }
    const { embed: first } = await api.data(query, {
      input: { modelId: models.get("bert_vectors"), texts: ["old man"], pooling: "CLS", normalize: false },
    });
    const cls = (encoderFixtures.find((f) => f.name === "bert_vectors")?.expected.answers[1]?.[0] ?? []) as number[];
    for (const [k, value] of (first[0] as number[]).entries()) assert.ok(Math.abs(value - (cls[k] as number)) < 1e-5);
  });

  it("are refused what they are not for, before anything starts", async () => {
    const [mlm, classifier, vectors] = ["bert_mlm", "distilbert_cls", "bert_vectors"].map((name) => models.get(name));
    await refused(`query($m: ID!) { fillMask(input: { modelId: $m, texts: ["a [MASK]"] }) { token } }`, { m: vectors }, "WRONG_TASK");
    await refused(
      `query($m: ID!) { classify(input: { modelId: $m, texts: [{ text: "a" }] }) { labels { label } } }`,
      { m: mlm },
      "WRONG_TASK",
    );
    await refused(`query($m: ID!) { embed(input: { modelId: $m, texts: ["a"] }) }`, { m: classifier }, "WRONG_TASK");
    const input = { subject: { modelId: classifier }, dataset: { texts: [text] }, options: small };
    await refused(prune, { input }, "BAD_USER_INPUT");
    await refused(prune, { input: { ...input, subject: { modelId: vectors }, method: "LEAVE_ONE_OUT" } }, "BAD_USER_INPUT");
    await refused(prune, { input: { ...input, subject: { modelId: models.get("albert_mlm") } } }, "NO_STRUCTURES");
    await refused(
      evaluate,
      { input: { subject: { modelId: classifier }, dataset: { texts: [text] }, sequenceLength: 24 } },
      "BAD_USER_INPUT",
    );
    const heal = `mutation($input: StartRecoveryInput!) { startRecovery(input: $input) { run { id } } }`;
    await refused(heal, { input: { subject: { modelId: mlm }, dataset: { texts: [text] } } }, "WRONG_TASK");
  });
});
