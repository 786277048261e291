import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type TestApi, testApi } from "../support/api.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let modelId: string;
before(async () => {
  api = await testApi({ worker: false, server: { graceMs: 300 } });
  modelId = (await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }')).registerModel.model.id;
});
after(() => api.close());

test("requests that are not done within the grace are told that the server stops", { timeout: 60_000 }, async () => {
  const generate = "mutation($input: GenerateInput!) { generate(input: $input) { text } }";
  const input = { modelId, prompt: { text: "The whale" }, maxTokens: 4096, n: 8 };
  const headers = { "content-type": "application/json" };
  const asked = fetch(api.url, { method: "POST", headers, body: JSON.stringify({ query: generate, variables: { input } }) });
  const { loaded } = api.services.generators as unknown as { loaded: Map<string, { active: number }> };
  await until("it writes", () => [...loaded.values()][0]?.active === 1);
  const stopped = api.stop();
  const answer = await asked;
  assert.equal(answer.status, 503);
  const { errors } = (await answer.json()) as { errors: { extensions: { code: string } }[] };
  assert.equal(errors[0]?.extensions.code, "SERVER_STOPPING");
  await stopped;
  await until("the work ends, too", () => [...loaded.values()].every(({ active }) => active === 0));
});
