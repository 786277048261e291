import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promptsOf } from "../../src/evaluation/common-beginning.ts";
import { type EvaluationOptions, evaluate } from "../../src/evaluation/evaluate.ts";
import { Likelihood } from "../../src/evaluation/likelihood.ts";
import { finished } from "../../src/finished.ts";
import { LanguageModel } from "../../src/inference/language-model.ts";
import { encode } from "../../src/onnx/encode.ts";
import type { Model } from "../../src/onnx/ir.ts";
import { float32Tensor } from "../../src/onnx/tensors.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { ahabFolder } from "../support/ahab.ts";
import { exported } from "../support/loop.ts";
import { reference } from "./reference.ts";

/** log softmax of logits, in float64. */
function logSoftmax(z: ArrayLike<number>): number[] {
  const values = Array.from(z);
  const max = Math.max(...values);
  const norm = max + Math.log(values.reduce((sum, x) => sum + Math.exp(x - max), 0));
  return values.map((x) => x - norm);
}

const divergence = (p: readonly number[], q: readonly number[]): number =>
  p.reduce((sum, log, v) => sum + (log === Number.NEGATIVE_INFINITY ? 0 : Math.exp(log) * (log - (q[v] as number))), 0);

const largest = (values: readonly number[]): number => values.indexOf(Math.max(...values));

describe("a model's distributions beside another's", () => {
  const folder = mkdtempSync(join(tmpdir(), "espalier-against-"));
  after(() => rmSync(folder, { recursive: true }));

  /** A model that predicts by the last token alone: its logits are the rows of a table. */
  function bigram(name: string, opset: number, table: readonly (readonly number[])[]) {
    const weights = float32Tensor("table", [table.length, table.length], table.flat());
    const graph: Model["graph"] = {
      name: "bigram",
      inputs: [{ name: "input_ids", dataType: "int64", shape: ["B", "T"] }],
      outputs: [{ name: "logits", dataType: "float32", shape: ["B", "T", table.length] }],
      initializers: new Map([["table", weights]]),
      nodes: [{ name: "look", opType: "Gather", domain: "", inputs: ["table", "input_ids"], outputs: ["logits"], attributes: {} }],
      valueInfo: [],
    };
    const model = { irVersion: 7, producerName: "test", opsets: { "": opset }, functions: [], metadata: {}, graph } as unknown as Model;
    writeFileSync(join(folder, name), encode(model));
    return { folder, graph: name, executionProvider: "CPU" as const };
  }

  const never = Number.NEGATIVE_INFINITY;
  const p = [
    [0.5, -1, 2, never],
    [1, 1, 0, 3],
    [0, 0, 0, 0],
    [-3, 2, 5, 1],
  ];
  const q = [
    [1.5, 0, -2, 0],
    [0, 1, 0, 4],
    [0.1, -0.2, 0.3, 0],
    [-1, 4, 3, 1],
  ];

  for (const opset of [12, 13, 18])
    it(`are the divergences of the two tables, by graphs of opset ${opset}`, async () => {
      const model = await Likelihood.open(bigram(`q${opset}`, opset, q), bigram(`p${opset}`, opset, p));
      try {
        const found = await model.judge([
          { ids: [0, 1, 2], targets: [1, 2, 0] },
          { ids: [3, 0], targets: [2] },
        ]);
        const places = [[0, 1, 2], [0]];
        for (const [r, of] of places.entries()) {
          const right = of.map((id) => divergence(logSoftmax(p[id] as number[]), logSoftmax(q[id] as number[])));
          const own = Array.from(found[r]?.against?.divergences ?? []);
          assert.equal(own.length, right.length);
          for (const [i, kl] of right.entries()) assert.ok(Math.abs((own[i] as number) - kl) < 1e-5, `${own[i]}, not ${kl}`);
          const same = of.map((id) => Number(largest(p[id] as number[]) === largest(q[id] as number[])));
          assert.deepEqual(Array.from(found[r]?.against?.agrees ?? []), same);
        }
      } finally {
        await model.close();
      }
    });

  it("are infinitely apart where a model finds impossible what the other may say", async () => {
    const model = await Likelihood.open(bigram("q", 13, p), bigram("p", 13, q));
    const [found] = await model.judge([{ ids: [0], targets: [1] }]);
    assert.equal(found?.against?.divergences[0], Number.POSITIVE_INFINITY);
    await model.close();
  });
});

describe("evaluate against another model", () => {
  const own = { folder: ahabFolder, graph: "onnx/model.onnx" };
  const options = {
    ...own,
    content: { form: "TEXT", documents: reference.documents.slice(0, 1) } as const,
    sequenceLength: 64,
    stride: 64,
    maxTokens: 200,
    maxItems: null,
    measureSpeed: false,
    executionProvider: "CPU",
    against: { modelId: "parent", prompts: 5, newTokens: 12 },
  } satisfies EvaluationOptions;
  const removed = [{ kind: "LAYER", index: 4 } as const];
  let stream: number[];
  before(async () => {
    stream = (await loadTokenizer(ahabFolder)).encodeDocument(reference.documents[0] as string);
  });

  it("gives what logits and greedy choice by plain sessions come to", async () => {
    await exported(removed, async (folder) => {
      await cp(join(ahabFolder, "tokenizer.json"), join(folder, "tokenizer.json"));
      const steps = evaluate({ ...options, folder, other: own });
      const progress: number[] = [];
      let step = await steps.next();
      for (; !step.done; step = await steps.next()) progress.push(step.value.done / step.value.total);
      const { value: result } = step;
      assert.ok(progress.every((done, i) => done > (progress[i - 1] ?? 0)) && progress.at(-1) === 1);

      const [child, parent] = [
        await LanguageModel.open({ folder, executionProvider: "CPU" }),
        await LanguageModel.open({ ...own, executionProvider: "CPU" }),
      ];
      const sums: { kl: number; same: number; n: number }[] = [];
      for (let at = 0, left = 200; left > 0; at += 64) {
        const ids = stream.slice(at, at + Math.min(63, left));
        const rows = await Promise.all([parent, child].map((m) => m.logits([ids])));
        const of = (m: 0 | 1, t: number) => logSoftmax((rows[m] as Float32Array).subarray(t * 2048, (t + 1) * 2048));
        const window = ids.map((_, t) => [of(0, t), of(1, t)] as const);
        sums.push({
          kl: window.reduce((sum, [p, q]) => sum + divergence(p, q), 0),
          same: window.reduce((sum, [p, q]) => sum + Number(largest(p) === largest(q)), 0),
          n: ids.length,
        });
        left -= ids.length;
      }
      const total = sums.reduce((n, s) => n + s.n, 0);
      assert.equal(total, 200);
      for (const [name, key] of [
        ["divergence", "kl"],
        ["greedyAgreement", "same"],
      ] as const) {
        const mean = sums.reduce((sum, s) => sum + s[key], 0) / total;
        const W = sums.length;
        const error = Math.sqrt((W / (W - 1)) * sums.reduce((sum, s) => sum + (s[key] - mean * s.n) ** 2, 0)) / total;
        assertClose(name, result[name], mean);
        assertClose(`${name}'s error`, result[`${name}StandardError`], error);
      }
      assert.ok((result.divergence ?? 0) > 0.05 && (result.greedyAgreement ?? 1) < 1, "a layer less makes a difference");

      const prompts = promptsOf(stream, 5, 12, 512);
      const lengths: number[] = [];
      for (const { ids } of prompts) {
        const [a, b] = await Promise.all([greedy(parent, ids), greedy(child, ids)]);
        const apart = a.findIndex((token, i) => token !== b[i]);
        lengths.push(apart < 0 ? 12 : apart);
      }
      assert.equal(result.promptCount, 5);
      const mean = lengths.reduce((sum, n) => sum + n, 0) / 5;
      const error = Math.sqrt(lengths.reduce((sum, n) => sum + (n - mean) ** 2, 0) / 4 / 5);
      assertClose("the common beginning", result.commonBeginningTokens, mean);
      assertClose("its error", result.commonBeginningTokensStandardError, error);
      assert.ok(lengths.some((n) => n > 0) && lengths.some((n) => n < 12), `${lengths}`);
      await Promise.all([child.close(), parent.close()]);
    });
  });

  it("finds a model no other than itself", async () => {
    const result = await finished(evaluate({ ...options, other: own }));
    assert.deepEqual([result.divergence, result.greedyAgreement, result.commonBeginningTokens], [0, 1, 12]);
  });

  it("measures nothing more where no other is named", async () => {
    const result = await finished(evaluate({ ...options, against: null }));
    assert.deepEqual([result.divergence, result.greedyAgreement, result.promptCount], [null, null, null]);
  });

  it("cuts prompts evenly from texts, as long as there is room", () => {
    const stream = Array.from({ length: 100 }, (_, i) => i);
    const prompts = promptsOf(stream, 3, 64, null);
    assert.deepEqual(
      prompts.map(({ ids: [first], ids, maxTokens }) => [first, ids.length, maxTokens]),
      [
        [0, 32, 64],
        [33, 32, 64],
        [66, 32, 64],
      ],
    );
    assert.deepEqual(promptsOf(stream, 1, 64, 20), [{ ids: stream.slice(0, 10), maxTokens: 10 }]);
    assert.equal(promptsOf(stream, 1000, 64, null).length, 4);
  });

  async function greedy(model: LanguageModel, prompt: readonly number[]): Promise<number[]> {
    const ids = [...prompt];
    while (ids.length < prompt.length + 12) {
      const logits = await model.logits([ids]);
      ids.push(largest(Array.from(logits.subarray(-2048))));
    }
    return ids.slice(prompt.length);
  }

  function assertClose(what: string, found: number | null, right: number): void {
    assert.ok(found !== null && Math.abs(found - right) <= 1e-4 * Math.abs(right) + 1e-7, `${what}: ${found}, and ${right} is right`);
  }
});
