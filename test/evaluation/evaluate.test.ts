import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type EvaluationOptions, evaluate } from "../../src/evaluation/evaluate.ts";
import { Likelihood } from "../../src/evaluation/likelihood.ts";
import { ratioOf } from "../../src/evaluation/statistics.ts";
import { judgeText } from "../../src/evaluation/text.ts";
import { finished } from "../../src/finished.ts";
import { decode } from "../../src/onnx/decode.ts";
import { encode } from "../../src/onnx/encode.ts";
import { float32Tensor } from "../../src/onnx/tensors.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { testModels } from "../support/models.ts";
import { reference } from "./reference.ts";

const { folder } = testModels[0] as (typeof testModels)[0];
const texts: EvaluationOptions = {
  folder,
  graph: "onnx/model.onnx",
  content: { form: "TEXT", documents: reference.documents },
  sequenceLength: 64,
  stride: 64,
  maxTokens: null,
  maxItems: null,
  measureSpeed: false,
  executionProvider: "CPU",
};
const question = { context: "The white", choices: [" whale", " Constitution of the several States"], gold: 0 };
const items: EvaluationOptions = { ...texts, content: { form: "MULTIPLE_CHOICE", items: [question] } };

async function collect(request: EvaluationOptions) {
  const progress = [];
  const steps = evaluate(request);
  let step = await steps.next();
  for (; !step.done; step = await steps.next()) progress.push(step.value);
  return { progress, result: step.value };
}

/** Within a part in 10,000 of the reference: the model computes in float32, the reference in float64. */
function assertClose(what: string, found: number | null, expected: number | null): void {
  if (expected === null) assert.equal(found, null, what);
  else assert.ok(found !== null && Math.abs(found - expected) <= 1e-4 * Math.abs(expected), `${what}: ${found}, and ${expected} is right`);
}

describe("evaluate", () => {
  for (const row of reference.text)
    it(`measures texts as PyTorch does: windows of ${row.sequenceLength}, stride ${row.stride}, ${row.maxTokens ?? "all"} tokens`, async () => {
      const { sequenceLength, stride, maxTokens } = row;
      const { progress, result } = await collect({ ...texts, sequenceLength, stride, maxTokens });
      assert.equal(result.tokenCount, row.tokenCount);
      assertClose("perplexity", result.perplexity, row.perplexity);
      assertClose("its error", result.perplexityStandardError, row.perplexityStandardError);
      assertClose("accuracy", result.nextTokenAccuracy, row.nextTokenAccuracy);
      assertClose("its error", result.nextTokenAccuracyStandardError, row.nextTokenAccuracyStandardError);
      assert.deepEqual(progress.at(-1), { done: row.tokenCount, total: row.tokenCount });
      assert.ok(progress.every((p, i) => p.done > (progress[i - 1]?.done ?? 0)));
      assert.deepEqual([result.itemCount, result.accuracy, result.normalizedAccuracy, result.chanceAccuracy], [null, null, null, null]);
    });

  it("predicts as many tokens as are asked for, however short windows and documents are", async () => {
    const documents = Array.from({ length: 60 }, (_, i) => `The whale swam ${i} miles.`);
    for (const [sequenceLength, stride] of [
      [2, 2],
      [3, 3],
      [3, 1],
      [8, 8],
    ] as const)
      for (const maxTokens of [1, 40, 100]) {
        const content = { form: "TEXT", documents } as const;
        const { result } = await collect({ ...texts, content, sequenceLength, stride, maxTokens });
        assert.equal(result.tokenCount, maxTokens, `${maxTokens} in windows of ${sequenceLength} every ${stride}`);
      }
  });

  it("says so where a text is impossible, rather than that its perplexity is unknown", async () => {
    const folder = mkdtempSync(join(tmpdir(), "espalier-impossible-"));
    try {
      const tiny = decode(readFileSync(new URL("../fixtures/exporters/optimum/llama/model.onnx", import.meta.url)));
      const never = float32Tensor(
        "never",
        [97],
        Float32Array.from({ length: 97 }, (_, id) => (id === 7 ? Number.NEGATIVE_INFINITY : 0)),
      );
      const nodes = tiny.graph.nodes.map((n) => ({ ...n, outputs: n.outputs.map((o) => (o === "logits" ? "possible" : o)) }));
      const add = { name: "forbid", opType: "Add", domain: "", inputs: ["possible", "never"], outputs: ["logits"], attributes: {} };
      const graph = { ...tiny.graph, nodes: [...nodes, add], initializers: new Map([...tiny.graph.initializers, ["never", never]]) };
      writeFileSync(join(folder, "model.onnx"), encode({ ...tiny, graph }));
      const model = await Likelihood.open({ folder, graph: "model.onnx", executionProvider: "CPU" });
      const tokenizer = { ...(await loadTokenizer(texts.folder)), encodeDocument: (text: string) => [...text].map(Number) };
      const judge = (text: string) => finished(judgeText(model, tokenizer, [text], { sequenceLength: 8, stride: 8, maxTokens: null }));
      assert.ok((await judge("1234")).perplexity.value > 1);
      await assert.rejects(judge("1274"), { code: "NON_FINITE_LOGITS", message: /infinite/ });
      await model.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("counts the choices of items as they are answered", async () => {
    const { progress, result } = await collect({ ...items, content: { form: "MULTIPLE_CHOICE", items: [question, question, question] } });
    assert.deepEqual([result.itemCount, result.chanceAccuracy, result.tokenCount, result.perplexity], [3, 0.5, null, null]);
    assert.deepEqual(progress.at(-1), { done: 6, total: 6 });
    assert.equal((await collect({ ...items, maxItems: 1 })).result.itemCount, 1);
  });

  it("finds on the held-out documents what the model's card says", async () => {
    // As the card counts: documents encoded paragraph by paragraph (which makes one token of the two line ends between), joined,
    // and of every 514 tokens the first 257 a window.
    const tokenizer = await loadTokenizer(folder);
    const model = await Likelihood.open(texts);
    const { documents } = await loadDataset({ name: "literature-heldout" });
    const stream = documents.flatMap((d) => [0, ...d.split(/(?<=\n\n)/).flatMap(tokenizer.encode)]);
    const losses: number[] = [];
    const hits: number[] = [];
    for (let at = 0; at + 514 <= stream.length; at += 514) {
      const [found] = await model.judge([{ ids: stream.slice(at, at + 256), targets: stream.slice(at + 1, at + 257) }]);
      assert.ok(found);
      losses.push(-found.logProbabilities.reduce((a, b) => a + b, 0));
      hits.push(found.greedy.reduce((a, b) => a + b, 0));
    }
    await model.close();
    const counts = losses.map(() => 256);
    const [loss, accuracy] = [ratioOf(losses, counts).value, ratioOf(hits, counts).value];
    assert.ok(Math.abs(loss - 3.193) < 0.001, `cross-entropy ${loss}`);
    assert.ok(Math.abs(accuracy - 0.372) < 0.0005, `accuracy ${accuracy}`);
  });

  it("says what it took, and times the model if asked to", async () => {
    const { result } = await collect({ ...texts, maxTokens: 10, measureSpeed: true });
    assert.equal(result.executionProvider, "CPU");
    assert.ok(result.durationMs > 0);
    assert.ok(result.peakMemoryBytes > 30e6 && result.peakMemoryBytes < 4e9);
    assert.ok((result.prefillTokensPerSecond ?? 0) > (result.decodeTokensPerSecond ?? Number.NaN), "reading at once is faster");
    assert.ok((result.decodeTokensPerSecond ?? 0) > 0);
    assert.equal((await collect({ ...texts, maxTokens: 10 })).result.prefillTokensPerSecond, null);
  });

  it("refuses what cannot be measured", async () => {
    await assert.rejects(collect({ ...texts, sequenceLength: 513 }), { code: "SEQUENCE_TOO_LONG" });
    await assert.rejects(collect({ ...texts, content: { form: "TEXT", documents: [""] } }), { code: "INVALID_DATASET" });
    const long = { context: "The whale", choices: [" swam", " and".repeat(600)], gold: 0 };
    await assert.rejects(collect({ ...items, content: { form: "MULTIPLE_CHOICE", items: [question, long] } }), {
      code: "INVALID_DATASET",
      details: { item: 1 },
    });
  });

  it("serves the other models", async (t) => {
    for (const other of testModels.slice(1)) {
      if (other.skip) {
        t.diagnostic(other.skip);
        continue;
      }
      const story = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her friends.";
      const { result } = await collect({ ...texts, folder: other.folder, content: { form: "TEXT", documents: [story] } });
      assert.ok(result.perplexity && result.perplexity > 1 && result.perplexity < 40, `${other.name}: ${result.perplexity}`);
      const girl = { context: "Once upon a time, there was a", choices: [" little girl", " integral equation"], gold: 0 };
      const answered = await collect({ ...items, folder: other.folder, content: { form: "MULTIPLE_CHOICE", items: [girl] } });
      assert.equal(answered.result.accuracy, 1, other.name);
    }
  });
});
