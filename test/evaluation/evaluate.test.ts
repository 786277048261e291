import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type EvaluationOptions, evaluate } from "../../src/evaluation/evaluate.ts";
import { tally } from "../../src/evaluation/tally.ts";
import { batchesOf, windowsOf } from "../../src/evaluation/windows.ts";
import { LanguageModel } from "../../src/inference/language-model.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { testModels } from "../support/models.ts";

const { folder } = testModels[0] as (typeof testModels)[0];
const heldOut = await loadDataset({ name: "literature-heldout" });
const texts = [heldOut.documents[2] as string, heldOut.documents[9] as string].map((d) => d.slice(0, 900));
const options: EvaluationOptions = { folder, dataset: { texts }, sequenceLength: 64, maxTokens: null, executionProvider: "CPU" };

async function collect(request: EvaluationOptions) {
  const progress = [];
  const steps = evaluate(request);
  let step = await steps.next();
  for (; !step.done; step = await steps.next()) progress.push(step.value);
  return { progress, result: step.value };
}

/** The same by the definition: one token at a time, probabilities spelled out. */
async function plainly(documents: readonly string[], window: number, maxTokens: number) {
  const tokenizer = await loadTokenizer(folder);
  const model = await LanguageModel.open({ folder, executionProvider: "CPU" });
  let [loss, right, count] = [0, 0, 0];
  for (const document of documents) {
    const ids = [0, ...tokenizer.encode(document)];
    let { past, logits } = await model.read(model.start, [0]);
    for (let t = 1; t < ids.length && count < maxTokens; t++) {
      const z = [...logits];
      const total = z.reduce((sum, l) => sum + Math.exp(l), 0);
      loss -= Math.log(Math.exp(z[ids[t] as number] as number) / total);
      right += z.indexOf(Math.max(...z)) === ids[t] ? 1 : 0;
      count++;
      ({ past, logits } = await model.read(t % window === 0 ? model.start : past, [ids[t] as number]));
    }
  }
  await model.close();
  return { count, perplexity: Math.exp(loss / count), accuracy: right / count };
}

describe("evaluate", () => {
  for (const maxTokens of [null, 150])
    it(`gives what the definition gives, up to ${maxTokens ?? "all"} tokens`, async () => {
      const expected = await plainly(texts, 64, maxTokens ?? Number.POSITIVE_INFINITY);
      const { progress, result } = await collect({ ...options, maxTokens });
      assert.equal(result.tokenCount, expected.count);
      assert.ok(Math.abs(result.perplexity / expected.perplexity - 1) < 1e-4, `${result.perplexity} ${expected.perplexity}`);
      assert.equal(result.nextTokenAccuracy, expected.accuracy);
      assert.deepEqual(progress.at(-1), { tokensDone: expected.count, tokensTotal: expected.count });
      assert.ok(progress.every((p, i) => p.tokensDone > (progress[i - 1]?.tokensDone ?? 0)));
      assert.equal(result.executionProvider, "CPU");
      assert.ok(result.prefillTokensPerSecond > result.decodeTokensPerSecond && result.decodeTokensPerSecond > 0);
    });

  it("finds on the held-out documents what the model's card says", async () => {
    // As the card counts: documents encoded paragraph by paragraph (which makes one token of the two line ends between), joined,
    // and of every 514 tokens the first 257 a window. `evaluate` encodes whole documents, begins windows with them and predicts
    // every token once: 3.246 nats and 36.1% over all 148,247 tokens.
    const tokenizer = await loadTokenizer(folder);
    const model = await LanguageModel.open({ folder, executionProvider: "CPU" });
    const stream = heldOut.documents.flatMap((d) => [0, ...d.split(/(?<=\n\n)/).flatMap(tokenizer.encode)]);
    let [loss, correct, count] = [0, 0, 0];
    for (let at = 0; at + 514 <= stream.length; at += 514) {
      const targets = stream.slice(at + 1, at + 257);
      const found = tally(await model.logits([stream.slice(at, at + 256)]), targets);
      loss += found.loss;
      correct += found.correct;
      count += targets.length;
    }
    await model.close();
    assert.ok(count > 70_000);
    assert.ok(Math.abs(loss / count - 3.243) < 0.001, `cross-entropy ${loss / count}`);
    assert.ok(Math.abs(correct / count - 0.361) < 0.0005, `accuracy ${correct / count}`);
  });

  it("names what it measured, and refuses what cannot be measured", async () => {
    const { result } = await collect({ ...options, maxTokens: 10 });
    assert.equal(result.datasetDigest, (await loadDataset({ texts })).digest);
    await assert.rejects(collect({ ...options, dataset: { name: "none" } }), { code: "DATASET_NOT_FOUND" });
    await assert.rejects(collect({ ...options, sequenceLength: 513 }), { code: "SEQUENCE_TOO_LONG" });
    await assert.rejects(collect({ ...options, dataset: { texts: [" "] } }), { code: "INVALID_DATASET" });
  });

  it("serves the other models", async (t) => {
    for (const other of testModels.slice(1)) {
      if (other.skip) {
        t.diagnostic(other.skip);
        continue;
      }
      const story = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her friends.";
      const { result } = await collect({ ...options, folder: other.folder, dataset: { texts: [story] } });
      assert.ok(result.perplexity > 1 && result.perplexity < 40, `${other.name}: ${result.perplexity}`);
    }
  });
});

describe("windows", () => {
  it("predict each token but a document's first once, in order, up to the limit", () => {
    const documents = fc.array(fc.array(fc.nat(999), { maxLength: 40 }), { maxLength: 6 });
    fc.assert(
      fc.property(documents, fc.integer({ min: 1, max: 16 }), fc.option(fc.nat(100)), (docs, length, limit) => {
        const windows = windowsOf(docs, length, limit);
        const targets = docs.flatMap((d) => d.slice(1)).slice(0, limit ?? undefined);
        assert.deepEqual(
          windows.flatMap((w) => w.targets),
          targets,
        );
        const before = docs.flatMap((d) => d.slice(0, -1)).slice(0, targets.length);
        assert.deepEqual(
          windows.flatMap((w) => w.inputs),
          before,
        );
        assert.ok(windows.every((w) => w.inputs.length >= 1 && w.inputs.length <= length));
        const batches = batchesOf(windows, 32);
        assert.deepEqual(batches.flat(), windows);
        for (const batch of batches) {
          assert.equal(new Set(batch.map((w) => w.inputs.length)).size, 1);
          assert.ok(batch.length * (batch[0]?.inputs.length ?? 0) <= 32);
        }
      }),
    );
  });

  it("are tallied in float64, and a broken model is told apart from a bad one", () => {
    const { loss, correct } = tally(Float32Array.from([0, 1, 100, 1000, 0, 0]), [1, 0]);
    assert.ok(Math.abs(loss - (Math.log(1 + Math.E + Math.exp(100)) - 1)) < 1e-9);
    assert.equal(correct, 1);
    assert.throws(() => tally(Float32Array.from([0, Number.NaN]), [0]), { code: "NON_FINITE_LOGITS" });
  });
});
