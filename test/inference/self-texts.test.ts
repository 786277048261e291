import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { finished } from "../../src/finished.ts";
import { LanguageModel } from "../../src/inference/language-model.ts";
import { selfTexts } from "../../src/inference/self-texts.ts";
import type { SelfTextOptions } from "../../src/text/self-text-options.ts";
import { loadTokenizer, type Tokenizer } from "../../src/text/tokenizer.ts";
import { ahabFolder } from "../support/ahab.ts";

const model = { folder: ahabFolder, executionProvider: "CPU" } as const;
const options: SelfTextOptions = { tokens: 800, textTokens: 24, prompts: [], randomTokens: 0, temperature: 1, topP: 1 };

describe("texts that a model writes by itself", () => {
  let tokenizer: Tokenizer;
  before(async () => {
    tokenizer = await loadTokenizer(ahabFolder);
  });
  const write = (more: Partial<typeof options>, seed = 0) => finished(selfTexts(model, tokenizer, { ...options, ...more }, seed));

  it("are as many tokens as are asked for, the same for the same seed, and others for another", async () => {
    const one = await write({});
    assert.ok(one.tokens >= 800 && one.tokens < 800 + 24);
    assert.deepEqual(await write({}), one);
    assert.notDeepEqual((await write({}, 1)).texts, one.texts);
    assert.equal(new Set(one.texts).size, one.texts.length, "no two are alike");
    // What there is of a shorter request is the beginning of a longer.
    const { texts: fewer } = await write({ tokens: 400 });
    assert.deepEqual(fewer, one.texts.slice(0, fewer.length));
  });

  it("are drawn as probable as the model finds them", async () => {
    const { texts } = await write({ tokens: 2400, textTokens: 2 });
    const plain = await LanguageModel.open(model);
    const logits = await plain.logits([tokenizer.documentStart.slice()]);
    await plain.close();
    const max = Math.max(...logits);
    const weights = Array.from(logits, (z) => Math.exp(z - max));
    const total = weights.reduce((a, b) => a + b, 0);
    const counts = new Map<string, number>();
    for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
    let told = 0;
    for (const [id, weight] of weights.entries()) {
      const p = weight / total;
      const text = tokenizer.decode([id]);
      // Where tokens are written alike, or end the text, counts are of several.
      if (p < 0.01 || text === "") continue;
      told++;
      const n = texts.length;
      const off = Math.abs((counts.get(text) ?? 0) - n * p) / Math.sqrt(n * p * (1 - p));
      assert.ok(off < 4, `${JSON.stringify(text)} came ${counts.get(text)} times of ${n}, with a probability of ${p}`);
    }
    assert.ok(told >= 5, `${told}`);
  });

  it("begin with prompts in turn, and with tokens drawn from all", async () => {
    const { texts } = await write({ prompts: ["The whale", "The Congress"] });
    assert.ok(texts.every((text, i) => text.startsWith(i % 2 === 0 ? "The whale" : "The Congress")));
    const drawn = (await write({ randomTokens: 2 })).texts;
    const plain = (await write({})).texts;
    const firsts = (all: readonly string[]) => new Set(all.map((text) => text.slice(0, 3))).size;
    assert.ok(firsts(drawn) > firsts(plain), `${firsts(drawn)} beginnings, and ${firsts(plain)} without`);
  });

  it("begin with a drawn token where nothing begins a document", async () => {
    const bare = { ...tokenizer, encodeDocument: (text: string) => tokenizer.encode(text) };
    const { texts } = await finished(selfTexts(model, bare, options, 0));
    assert.ok(new Set(texts.map((text) => text.slice(0, 3))).size > texts.length / 2);
  });

  it("are refused where a model ends them at once, or a prompt fills them", async () => {
    const ending = { ...tokenizer, eosIds: Array.from({ length: 2048 }, (_, id) => id) };
    await assert.rejects(finished(selfTexts(model, ending, options, 0)), { code: "SELF_TEXT_TOO_SHORT" });
    await assert.rejects(write({ prompts: ["whale ".repeat(30)] }), { code: "PROMPT_TOO_LONG" });
  });
});
