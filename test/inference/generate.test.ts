import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { embed, score } from "../../src/inference/measure.ts";
import { testModels } from "../support/models.ts";
import { greedy, openWriter, written } from "../support/writer.ts";

const { folder } = testModels[0] as (typeof testModels)[0];
const writer = await openWriter(folder);
const { tokenizer } = writer;
after(() => writer.engine.close());

const options = { maxTokens: 60, temperature: 0.8, topK: 0, topP: 0.95, seed: 3 };

describe("generate", () => {
  it("streams a text whose chunks hold every token", async () => {
    const { chunks, summaries } = await written(writer, { ...options, prompt: "Call me Ishmael." });
    const [summary] = summaries;
    const ids = chunks.flatMap((c) => c.tokenIds);
    const prompt = tokenizer.encodeDocument("Call me Ishmael.");
    assert.equal(summaries.length, 1);
    assert.equal(summary?.promptTokens, prompt.length);
    assert.equal(summary?.completionTokens, ids.length);
    assert.ok(ids.length > 10);
    assert.ok(chunks.every((c) => c.tokenIds.length > 0));
    assert.equal(`Call me Ishmael.${chunks.map((c) => c.text).join("")}`, tokenizer.decode([...prompt, ...ids]));
    assert.ok((summary?.timeToFirstTokenMs ?? 0) > 0 && (summary?.tokensPerSecond ?? 0) > 0);
    assert.equal(summary?.limitation, null);
  });

  it("ends where the model ends a document", async () => {
    for (let seed = 0; ; seed++) {
      assert.ok(seed < 40, "no seed made the model end its text");
      const request = { ...options, temperature: 1.5, topP: 1, maxTokens: 100, seed, prompt: "God bless America." };
      const { tokenIds, summaries } = await written(writer, request);
      if (summaries[0]?.finishReason !== "STOP") continue;
      assert.ok(tokenIds.length < 100);
      assert.ok(!tokenIds.includes(0));
      return;
    }
  });

  it("begins a document where the prompt is empty; refuses one that fills the context, or leaves out its beginning if told to", async () => {
    const { summaries } = await written(writer, { ...options, prompt: "", maxTokens: 5 });
    assert.equal(summaries[0]?.promptTokens, 1);
    const prompt = "whale ".repeat(600);
    await assert.rejects(written(writer, { ...options, prompt }), { code: "PROMPT_TOO_LONG" });
    const cut = await written(writer, { ...greedy, prompt, truncatePrompt: true, maxTokens: 12 });
    assert.deepEqual([cut.summaries[0]?.promptTokens, cut.summaries[0]?.completionTokens], [500, 12]);
  });

  it("keeps to the model's context, to the token", async () => {
    const prompt = "A whale of the sea. ".repeat(70);
    const { summaries } = await written(writer, { ...greedy, prompt, maxTokens: 100, logitBias: [{ tokenId: 0, bias: -100 }] });
    const { promptTokens, completionTokens, finishReason } = summaries[0] as (typeof summaries)[0];
    assert.ok(promptTokens > 412 && promptTokens < 512, `${promptTokens}`);
    assert.deepEqual([promptTokens + completionTokens, finishReason], [512, "LENGTH"]);
  });

  it("ends before a stop string wherever tokens begin and end, and gives no part of it", async () => {
    const free = await written(writer, { ...greedy, prompt: "The whale" });
    // Strings that begin and end inside tokens.
    for (const [from, to] of [
      [11, 14],
      [20, 27],
      [5, 6],
    ] as const) {
      const stop = free.text.slice(from, to);
      const { text, summaries, chunks } = await written(writer, { ...greedy, prompt: "The whale", stop: ["never comes", stop] });
      assert.equal(text, free.text.slice(0, free.text.indexOf(stop)), JSON.stringify(stop));
      assert.equal(summaries[0]?.finishReason, "STOP");
      assert.equal(chunks.flatMap((c) => c.tokenIds).length, summaries[0]?.completionTokens);
    }
    // One that only seems to come is given out in the end.
    const almost = await written(writer, { ...greedy, prompt: "The whale", stop: [`${free.text.slice(-6)}\u0000`] });
    assert.equal(almost.text, free.text);
  });

  it("ends before a stop string that holds a special token, which is in the tokens and not in the text", async () => {
    // Token 77 made a special one.
    const signed = {
      ...tokenizer,
      specialTokens: new Map([...tokenizer.specialTokens, [77, "<|sign|>"]]),
      decode: (ids: readonly number[]) => tokenizer.decode(ids.filter((id) => id !== 77)),
    };
    const request = { ...greedy, prompt: "The whale", logitBias: [{ tokenId: 77, bias: 100 }] };
    const { text, tokenIds, summaries } = await written({ ...writer, tokenizer: signed }, { ...request, stop: ["<|sign|>"] });
    assert.deepEqual([text, tokenIds, summaries[0]?.finishReason], ["", [77], "STOP"]);
    const other = await written({ ...writer, tokenizer: signed }, { ...request, maxTokens: 5, stop: ["<|sign|>x"] });
    assert.deepEqual([other.text, other.tokenIds, other.summaries[0]?.finishReason], ["", [77, 77, 77, 77, 77], "LENGTH"]);
  });

  it("gives log probabilities that are the model's own, and the prompt's with echo", async () => {
    const plain = await written(writer, { ...greedy, prompt: "The whale", maxTokens: 9 });
    const { chunks, tokenIds, text } = await written(writer, {
      ...greedy,
      prompt: "The whale",
      maxTokens: 9,
      topLogprobs: 3,
      echo: true,
    });
    const prompt = tokenizer.encodeDocument("The whale");
    assert.equal(text, `The whale${plain.text}`);
    assert.deepEqual(tokenIds, [...prompt, ...plain.tokenIds]);
    const logprobs = chunks.flatMap((c) => c.logprobs ?? []);
    assert.deepEqual(
      logprobs.map((l) => l.tokenId),
      tokenIds,
    );
    assert.equal(logprobs.map((l) => l.text).join(""), text);
    for (const { tokenId, logprob, text: own, top } of logprobs.slice(prompt.length)) {
      assert.equal(top.length, 3);
      assert.deepEqual(top[0], { tokenId, logprob, text: own });
      for (const each of top) assert.equal(each.text, tokenizer.decode([each.tokenId]));
      assert.ok(logprob <= 0 && (top[1]?.logprob ?? 0) <= logprob);
    }
    const [scored] = await score(writer, { prompt: "The whale", continuations: [plain.text] }, new AbortController().signal);
    const sum = logprobs.slice(prompt.length).reduce((n, l) => n + l.logprob, 0);
    assert.deepEqual(scored?.tokenIds, plain.tokenIds);
    assert.equal(scored?.isGreedy, true);
    assert.ok(Math.abs((scored?.logprob ?? 0) - sum) < 1e-3, `${scored?.logprob} and ${sum}`);
  });

  it("writes several texts of one prompt, each as its seed alone gives it", async () => {
    const three = await written(writer, { ...options, prompt: "The whale", n: 3 });
    assert.deepEqual(
      three.summaries.map((s) => s.index),
      [0, 1, 2],
    );
    for (const index of [0, 1, 2]) {
      const alone = await written(writer, { ...options, seed: 3 + index, prompt: "The whale" });
      assert.equal(
        three.chunks
          .filter((c) => c.index === index)
          .map((c) => c.text)
          .join(""),
        alone.text,
      );
    }
  });

  it("bends logits as it is told: bias, and penalties for what has been written", async () => {
    const free = await written(writer, { ...greedy, prompt: "The whale" });
    const first = free.tokenIds[0] as number;
    const biased = await written(writer, { ...greedy, prompt: "The whale", logitBias: [{ tokenId: first, bias: -100 }] });
    assert.ok(!biased.tokenIds.includes(first));
    const forced = await written(writer, { ...greedy, maxTokens: 5, prompt: "The whale", logitBias: [{ tokenId: 77, bias: 100 }] });
    assert.deepEqual(forced.tokenIds, [77, 77, 77, 77, 77]);
    const once = { ...greedy, prompt: "The whale", maxTokens: 30 };
    for (const penalty of [{ presencePenalty: 100 }, { frequencyPenalty: 100 }]) {
      const { tokenIds } = await written(writer, { ...once, ...penalty });
      assert.equal(new Set(tokenIds).size, tokenIds.length, JSON.stringify(penalty));
    }
    const prompt = tokenizer.encodeDocument("The whale");
    const { tokenIds } = await written(writer, { ...once, repetitionPenalty: 1e6 });
    assert.equal(new Set([...prompt, ...tokenIds]).size, prompt.length + tokenIds.length);
    const unknown = { ...greedy, prompt: "The whale", logitBias: [{ tokenId: 2048, bias: 1 }] };
    await assert.rejects(written(writer, unknown), { code: "UNKNOWN_TOKEN" });
  });

  it("ends when its time is up, with what it has", async () => {
    const { summaries, tokenIds } = await written(writer, {
      ...options,
      prompt: "The whale",
      maxTokens: 500,
      timeLimitMs: 60,
      temperature: 2,
      topP: 1,
      logitBias: [{ tokenId: 0, bias: -100 }],
    });
    assert.ok(["TIME", "LENGTH"].includes(summaries[0]?.finishReason as string));
    assert.equal(tokenIds.length, summaries[0]?.completionTokens);
  });

  it("answers conversations only where the model has a template for them", async () => {
    const messages = [{ role: "user", content: "Who are you?" }];
    await assert.rejects(written(writer, { ...greedy, prompt: messages }), { code: "CHAT_TEMPLATE_MISSING" });
    const chatTemplate = (all: typeof messages | readonly { role: string; content: string }[]) =>
      all.map((m) => `${m.role}: ${m.content}\n`).join("");
    const chat = await written({ ...writer, chatTemplate }, { ...greedy, prompt: messages });
    const plain = tokenizer.encode("user: Who are you?\n");
    assert.equal(chat.summaries[0]?.promptTokens, plain.length);
    // An answer that is begun goes on as its own beginning did.
    const begun = await written(
      { ...writer, chatTemplate },
      { ...greedy, prompt: messages, answerBegins: " Call me", echo: true, topLogprobs: 0 },
    );
    const read = tokenizer.encode("user: Who are you?\n Call me");
    assert.equal(begun.summaries[0]?.promptTokens, read.length);
    const plainly = await written({ ...writer, chatTemplate: () => "user: Who are you?\n Call me" }, { ...greedy, prompt: messages });
    assert.deepEqual(begun.tokenIds.slice(read.length), plainly.tokenIds);
  });
});

describe("score and embed", () => {
  const staying = new AbortController().signal;

  it("the likelihood of continuations is the chain of each token's probability", async () => {
    const continuations = [" of the sea", " whale whale whale", "."];
    const scores = await score(writer, { prompt: "The whale", continuations }, staying);
    const whole = tokenizer.encodeDocument("The whale of the sea");
    const { chunks } = await written(writer, { ...greedy, prompt: "The whale of the sea", maxTokens: 1, echo: true, topLogprobs: 0 });
    const all = chunks.flatMap((c) => c.logprobs ?? []).slice(0, whole.length);
    const [first] = scores;
    assert.deepEqual(first?.tokenIds, whole.slice(-(first?.tokenIds.length as number)));
    const expected = all.slice(-(first?.tokenIds.length as number)).map((l) => l.logprob);
    for (const [i, logprob] of (first?.tokenLogprobs ?? []).entries()) assert.ok(Math.abs(logprob - (expected[i] as number)) < 1e-4);
    assert.ok((scores[0]?.logprob ?? 0) > (scores[1]?.logprob ?? 0), "sense is more probable than nonsense");
    await assert.rejects(score(writer, { prompt: "a", continuations: [""] }, staying), { code: "CONTINUATION_EMPTY" });
  });

  it("texts become vectors, alone or together the same", async () => {
    const texts = ["The whale", "The white whale swam through the sea", "Fellow citizens of the Senate"];
    const together = await embed(writer, { texts, pooling: "MEAN", normalize: true }, staying);
    for (const [i, vector] of together.entries()) {
      assert.equal(vector.length, 96);
      assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-9);
      assert.deepEqual((await embed(writer, { texts: [texts[i] as string], pooling: "MEAN", normalize: true }, staying))[0], vector);
    }
    const last = await embed(writer, { texts: ["The whale"], pooling: "LAST", normalize: false }, staying);
    assert.notDeepEqual(last[0], together[0]);
  });
});
