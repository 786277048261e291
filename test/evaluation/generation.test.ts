import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type EvaluationOptions, evaluate } from "../../src/evaluation/evaluate.ts";
import { promptsOfItems } from "../../src/evaluation/generation.ts";
import { finished } from "../../src/finished.ts";
import { LanguageModel } from "../../src/inference/language-model.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { ahabFolder } from "../support/ahab.ts";

const newTokens = 10;
const prompts = ["The white whale", "Fellow citizens of the Senate", "Call me", "Queequeg", "The Constitution"];

describe("evaluate on prompts with answers", () => {
  let tokenizer: Tokenizer;
  let model: LanguageModel;
  let written: string[];
  before(async () => {
    tokenizer = await loadTokenizer(ahabFolder);
    model = await LanguageModel.open({ folder: ahabFolder, executionProvider: "CPU" });
    written = [];
    for (const prompt of prompts) written.push(await greedy(prompt));
  });
  after(() => model.close());

  /** By whole runs of the graph as it is, without the engine and its cache. */
  async function greedy(prompt: string): Promise<string> {
    const ids = tokenizer.encodeDocument(prompt);
    const own: number[] = [];
    while (own.length < newTokens) {
      const logits = (await model.logits([[...ids, ...own]])).subarray(-2048);
      const next = logits.indexOf(Math.max(...logits));
      if (tokenizer.eosIds.includes(next)) break;
      own.push(next);
    }
    return tokenizer.decode(own);
  }

  const run = (answers: readonly string[], more: Partial<EvaluationOptions> = {}) =>
    finished(
      evaluate({
        folder: ahabFolder,
        graph: "onnx/model.onnx",
        content: { form: "GENERATION", items: prompts.map((prompt, i) => ({ prompt, answer: answers[i] as string })) },
        sequenceLength: 64,
        stride: 64,
        maxTokens: null,
        maxItems: null,
        maxNewTokens: newTokens,
        measureSpeed: false,
        executionProvider: "CPU",
        ...more,
      }),
    );

  it("counts answers that are what a plain session writes", async () => {
    const answers = written.map((text, i) => (i < 3 ? `\n${text.trim()} ` : `${text}!`));
    const result = await run(answers);
    assert.deepEqual(
      [result.itemCount, result.exactMatch, result.chanceAccuracy, result.accuracy, result.perplexity],
      [5, 0.6, 0, null, null],
    );
    // Of 1, 1, 1, 0, 0: the variance is 0.3, over five.
    assert.ok(Math.abs((result.exactMatchStandardError ?? 0) - Math.sqrt(0.3 / 5)) < 1e-12);
    assert.deepEqual([...Buffer.from(result.correctItems ?? "", "base64")], [0b00111]);
    assert.equal((await run(answers, { maxItems: 2 })).exactMatch, 1);
  });

  it("ends answers at stops, which are no part of them", async () => {
    const stop = [" ", "\n"];
    const cut = written.map((text) => text.slice(0, Math.min(...stop.map((s) => `${text}${s}`.indexOf(s)))));
    assert.ok(cut.some((text, i) => text !== written[i]));
    const right = cut.filter((text) => text.trim() !== "").length;
    assert.equal(
      (
        await run(
          cut.map((text) => text || "never"),
          { stop },
        )
      ).exactMatch,
      right / 5,
    );
  });

  it("looks for answers where a pattern says", async () => {
    const words = written.map((text) => text.match(/[A-Za-z]+/g) ?? []);
    const first = words.map(([word]) => word ?? "none");
    const last = words.map((all) => all.at(-1) ?? "none");
    const answer = (match: "FIRST" | "LAST") => ({ answer: { pattern: "([A-Za-z]+)", match } });
    assert.equal((await run(first, answer("FIRST"))).exactMatch, 1);
    assert.equal((await run(last, answer("LAST"))).exactMatch, 1);
    assert.ok(((await run(last, answer("FIRST"))).exactMatch ?? 1) < 1);
    assert.equal((await run(first, { answer: { pattern: "[0-9]{9}", match: "FIRST" } })).exactMatch, 0);
  });

  it("lets two models go on from the same prompts", async () => {
    const other = { folder: ahabFolder, graph: "onnx/model.onnx" };
    const result = await run(written, { other, against: { modelId: "itself", prompts: 3, newTokens: 6 } });
    assert.deepEqual([result.promptCount, result.commonBeginningTokens, result.divergence, result.exactMatch], [3, 6, null, 1]);
  });

  it("refuses prompts that leave no room, naming the item", () => {
    const items = [
      { prompt: "a", answer: "b" },
      { prompt: "whale ".repeat(20), answer: "b" },
    ];
    assert.throws(() => promptsOfItems(items, tokenizer, 5, 20), { code: "INVALID_DATASET", details: { item: 1 } });
    assert.equal(promptsOfItems(items.slice(0, 1), tokenizer, 50, 20)[0]?.maxTokens, 20 - tokenizer.encodeDocument("a").length);
    assert.throws(() => promptsOfItems([{ prompt: "", answer: "b" }], { ...tokenizer, encodeDocument: () => [] }, 5, 20), {
      code: "INVALID_DATASET",
    });
  });
});
