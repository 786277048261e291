import assert from "node:assert/strict";
import { appendFileSync, cpSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ahabFolder } from "../support/ahab.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { registerFolder } from "../support/register.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
/** The bundled model, and another that is like it but for its card. */
let ids: string[];
before(async () => {
  api = await testApi();
  const { store, dataDirectory } = api.services;
  const modelRoot = join(dataDirectory, "root");
  for (const name of ["one", "two"]) cpSync(ahabFolder, join(modelRoot, name), { recursive: true });
  appendFileSync(join(modelRoot, "two", "README.md"), "\nAnother.\n");
  ids = [];
  for (const name of ["one", "two"]) ids.push((await registerFolder({ store, dataDirectory, modelRoot }, name)).id);
});
after(() => api.close());

// biome-ignore lint/suspicious/noExplicitAny: events are read as they come
async function events(query: string, input: object): Promise<any[]> {
  const list = [];
  for await (const { data, errors } of api.socket().iterate({ query, variables: { input } })) {
    assert.equal(errors, undefined, JSON.stringify(errors));
    list.push(Object.values(data ?? {})[0]);
  }
  return list;
}

const fields = `__typename
  ... on GenerationLoading { modelId loading }
  ... on GenerationDelta { modelId index text tokenIds logprobs { tokenId logprob top { tokenId logprob } } }
  ... on GenerationCompleted { modelId summary { index finishReason promptTokens completionTokens tokensPerSecond limitation } }`;
const generate = `subscription($input: GenerateInput!) { generate(input: $input) { ${fields} } }`;

test("who waits for a model to be loaded is told how far it is; then it is there", async () => {
  const input = { modelId: ids[0], prompt: { text: "The whale" }, maxTokens: 4 };
  const first = await events(generate, input);
  const stages = first.filter((e) => e.__typename === "GenerationLoading").map((e) => e.loading);
  assert.ok(stages.length > 0 && ["READING", "REWRITING", "OPENING", "CHECKING"].includes(stages[0]), `${stages}`);
  const again = await events(generate, input);
  assert.ok(again.every((e) => e.__typename !== "GenerationLoading"));
});

test("everything that can be asked of a text comes through", async () => {
  const input = {
    modelId: ids[0],
    prompt: { text: "The whale" },
    maxTokens: 12,
    temperature: 0.9,
    minP: 0.02,
    topK: 50,
    repetitionPenalty: 1.1,
    frequencyPenalty: 0.1,
    presencePenalty: 0.1,
    seed: 7,
    n: 2,
    echo: true,
    topLogprobs: 2,
    stop: ["\u0001"],
  };
  const all = await events(generate, input);
  for (const index of [0, 1]) {
    const deltas = all.filter((e) => e.__typename === "GenerationDelta" && e.index === index);
    const text = deltas.map((d) => d.text).join("");
    assert.ok(text.startsWith("The whale") && text.length > 12, text);
    for (const { tokenIds, logprobs } of deltas) {
      assert.deepEqual(
        logprobs.map((l: { tokenId: number }) => l.tokenId),
        tokenIds,
      );
    }
    const { summary } = all.find((e) => e.summary?.index === index);
    assert.deepEqual([summary.finishReason, summary.completionTokens, summary.limitation], ["LENGTH", 12, null]);
  }
  const query =
    "mutation($input: GenerateInput!) { generate(input: $input) { text choices { text tokenIds logprobs { logprob } summary { index } } } }";
  const { generate: whole } = await api.data(query, { input });
  assert.equal(whole.text, whole.choices[0].text);
  for (const index of [0, 1])
    assert.equal(
      whole.choices[index].text,
      all
        .filter((e) => e.index === index)
        .map((d) => d.text)
        .join(""),
      "streamed and at once, the same",
    );
});

test("models write side by side, and alike models write alike", async () => {
  const compare = `subscription($input: CompareInput!) { compare(input: $input) { ${fields} } }`;
  const all = await events(compare, { modelIds: ids, prompt: { text: "The whale" }, maxTokens: 16 });
  const texts = ids.map((id) =>
    all
      .filter((e) => e.__typename === "GenerationDelta" && e.modelId === id)
      .map((e) => e.text)
      .join(""),
  );
  assert.ok((texts[0] ?? "").length > 10);
  assert.equal(texts[0], texts[1]);
  assert.deepEqual(new Set(all.filter((e) => e.summary).map((e) => e.modelId)), new Set(ids));
  const told = `subscription($input: CompareInput!) { compare(input: $input) { ... on GenerationDelta { logprobs { logprob top { logprob } } } } }`;
  const [{ logprobs }] = await events(told, {
    modelIds: ids.slice(0, 1),
    prompt: { text: "The whale" },
    maxTokens: 1,
    topLogprobs: 2,
  }).then((of) => of.filter((e) => e.logprobs));
  assert.equal(logprobs[0].top.length, 2);
  assert.equal(logprobs[0].logprob, logprobs[0].top[0].logprob);
  const { active } = [...(api.services.generators as unknown as { loaded: Map<string, { active: number }> }).loaded.values()][0] ?? {};
  assert.equal(active, 0);
});

test("a conversation is refused where the model has no template, and time that is up is told", async () => {
  const query = "mutation($input: GenerateInput!) { generate(input: $input) { text } }";
  const chat = await api.ask(query, { input: { modelId: ids[0], prompt: { messages: [{ role: "user", content: "Who are you?" }] } } });
  assert.equal(chat.errors?.[0]?.extensions["code"], "CHAT_TEMPLATE_MISSING");
  const long = await api.ask(query, { input: { modelId: ids[0], prompt: { text: "whale ".repeat(600) } } });
  assert.deepEqual([long.errors?.[0]?.extensions["code"], long.errors?.[0]?.extensions["contextLength"]], ["PROMPT_TOO_LONG", 512]);
});

test("continuations are scored, and texts become vectors", async () => {
  const score = "query($input: ScoreInput!) { score(input: $input) { tokenIds tokenLogprobs logprob isGreedy } }";
  const { score: scores } = await api.data(score, {
    input: { modelId: ids[0], prompt: "The United", continuations: [" States", " whale"] },
  });
  assert.equal(scores.length, 2);
  assert.ok(scores[0].logprob > scores[1].logprob + 3, JSON.stringify(scores));
  assert.equal(scores[0].isGreedy, true);
  assert.equal(scores[0].tokenIds.length, scores[0].tokenLogprobs.length);
  const embed = "query($input: EmbedInput!) { embed(input: $input) }";
  const { embed: vectors } = await api.data(embed, {
    input: { modelId: ids[0], texts: ["The whale swam", "A whale swam", "The tariff of 1846"] },
  });
  const dot = (a: number[], b: number[]) => a.reduce((n, x, i) => n + x * (b[i] as number), 0);
  assert.ok(dot(vectors[0], vectors[1]) > dot(vectors[0], vectors[2]), "what is alike lies near");
});

test("a client that leaves a comparison leaves nothing behind", async () => {
  const { loaded } = api.services.generators as unknown as { loaded: Map<string, { active: number }> };
  const active = () => [...loaded.values()].reduce((sum, model) => sum + model.active, 0);
  const compare = "subscription($input: CompareInput!) { compare(input: $input) { ... on GenerationDelta { text } } }";
  for await (const { errors } of api
    .socket()
    .iterate({ query: compare, variables: { input: { modelIds: ids, prompt: { text: "A" }, maxTokens: 400, temperature: 1 } } })) {
    assert.equal(errors, undefined);
    break;
  }
  await until("both end", () => active() === 0);
  assert.deepEqual(api.log, []);
});
