import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { generate, type TextChunk } from "../../src/inference/generate.ts";
import { loadGenerator } from "../../src/inference/generator.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { testModels } from "../support/models.ts";

const { folder } = testModels[0] as (typeof testModels)[0];
const tokenizer = await loadTokenizer(folder);
const generator = await loadGenerator({ folder, executionProvider: "CPU" });
after(() => generator.close());

const options = { maxTokens: 60, temperature: 0.8, topK: 0, topP: 0.95, seed: 3 };

async function collect(request: Parameters<typeof generate>[2]) {
  const chunks: TextChunk[] = [];
  const steps = generate(generator, tokenizer, request);
  let step = await steps.next();
  for (; !step.done; step = await steps.next()) chunks.push(step.value);
  return { chunks, summary: step.value };
}

describe("generate", () => {
  it("streams a text whose chunks hold every token", async () => {
    const { chunks, summary } = await collect({ ...options, prompt: "Call me Ishmael." });
    const ids = chunks.flatMap((c) => c.tokenIds);
    const prompt = tokenizer.encodeDocument("Call me Ishmael.");
    assert.equal(summary.promptTokens, prompt.length);
    assert.equal(summary.completionTokens, ids.length);
    assert.ok(ids.length > 10);
    assert.ok(chunks.every((c) => c.tokenIds.length > 0));
    assert.equal(`Call me Ishmael.${chunks.map((c) => c.text).join("")}`, tokenizer.decode([...prompt, ...ids]));
    assert.ok(summary.timeToFirstTokenMs > 0 && summary.tokensPerSecond > 0);

    const direct: number[] = [];
    for await (const id of generator.generate(prompt, { ...options, stopIds: tokenizer.eosIds })) direct.push(id);
    assert.deepEqual(ids, direct);
  });

  it("ends where the model ends a document", async () => {
    const ends = [];
    for (let seed = 0; ends.length === 0 && seed < 40; seed++) {
      const { chunks, summary } = await collect({
        ...options,
        temperature: 1.5,
        topP: 1,
        maxTokens: 100,
        seed,
        prompt: "God bless America.",
      });
      if (summary.finishReason === "STOP") ends.push({ chunks, summary });
    }
    const [end] = ends;
    assert.ok(end, "no seed made the model end its text");
    assert.ok(end.summary.completionTokens < 100);
    assert.ok(!end.chunks.some((c) => c.tokenIds.includes(0)));
  });

  it("begins a document where the prompt is empty, and refuses one that fills the context", async () => {
    const { summary } = await collect({ ...options, prompt: "", maxTokens: 5 });
    assert.equal(summary.promptTokens, 1);
    await assert.rejects(collect({ ...options, prompt: "whale ".repeat(600) }), { code: "PROMPT_TOO_LONG" });
  });
});
