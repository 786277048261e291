import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createToken } from "../../src/store/tokens.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { registerFolder } from "../support/register.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
before(async () => {
  api = await testApi();
});
after(() => api.close());

const asked = (authorization?: string) =>
  fetch(new URL("/metrics", api.url), authorization === undefined ? {} : { headers: { authorization } });

interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The text format, version 0.0.4: each line a sample of a family that HELP and TYPE have told of before. */
function parse(text: string): Sample[] {
  assert.ok(text.endsWith("\n"));
  const told = new Map<string, string>();
  return text
    .split("\n")
    .filter((line) => line !== "")
    .flatMap((line) => {
      const [, what, family = "", rest = ""] = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line) ?? [];
      if (what === "TYPE") told.set(family, rest);
      if (what !== undefined) return [];
      const found = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|\+Inf|NaN)$/i.exec(line);
      assert.ok(found, `no sample: ${line}`);
      const [, name = "", labels = "", value = ""] = found;
      const of = [...told.keys()].find(
        (each) => name === each || (name.startsWith(each) && /^_(bucket|sum|count)$/.test(name.slice(each.length))),
      );
      assert.ok(of !== undefined, `${name} is of no family that was told of`);
      const pairs = [...labels.matchAll(/([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/g)];
      assert.equal(pairs.map(([whole]) => whole).join(""), labels, `labels of ${line}`);
      return [
        { name, labels: Object.fromEntries(pairs.map(([, key, text]) => [key, text])), value: Number(value.replace("+Inf", "Infinity")) },
      ];
    });
}

const metrics = async (authorization?: string): Promise<Sample[]> => parse(await (await asked(authorization)).text());
const sample = (samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>> = {}): number | undefined =>
  samples.find((s) => s.name === name && Object.entries(labels).every(([key, value]) => s.labels[key] === value))?.value;

test("/metrics tells Prometheus of runs, requests, generations, models, subscribers and the process", async () => {
  const { store, dataDirectory, modelRoot } = api.services;
  const response = await asked();
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain; ?version=0\.0\.4/);
  const before = parse(await response.text());
  for (const name of ["espalier_workers", "espalier_subscriptions", "espalier_generations_active", "process_resident_memory_bytes"])
    assert.ok(sample(before, name) !== undefined, `${name} is missing`);
  assert.equal(sample(before, "espalier_tokens_total", { of: "completion" }), 0);
  assert.equal(sample(before, "espalier_models_loaded"), 0);

  const { id } = await registerFolder({ store, dataDirectory, modelRoot }, "ahab");
  const input = { modelId: id, prompt: { text: "The whale" }, maxTokens: 6, n: 2 };
  const generate = "mutation($input: GenerateInput!) { generate(input: $input) { choices { summary { promptTokens completionTokens } } } }";
  const { generate: written } = await api.data(generate, { input });
  const tokens = written.choices.reduce(
    (n: number, { summary }: { summary: { completionTokens: number } }) => n + summary.completionTokens,
    0,
  );
  const prune = `mutation($id: ID!) { startPruning(input: {
    subject: { modelId: $id }, dataset: { texts: [${JSON.stringify("It was a bright cold day. ".repeat(60))}] },
    options: { targetRatio: 0.05, samples: 1, sequenceLength: 16 }
  }) { run { id } } }`;
  const { startPruning } = await api.data(prune, { id });

  const follower = api.socket().iterate({ query: "subscription { changes { __typename } }" });
  void follower.next();
  await until("the subscription is counted", async () => (sample(await metrics(), "espalier_subscriptions") ?? 0) >= 1);
  await until("the run is done", async () => sample(await metrics(), "espalier_runs", { kind: "PRUNING", status: "SUCCEEDED" }) === 1);
  assert.equal((await api.data("query($id: ID!) { run(id: $id) { status } }", { id: startPruning.run.id })).run.status, "SUCCEEDED");
  const after = await metrics();
  assert.equal(sample(after, "espalier_tokens_total", { of: "completion" }), tokens);
  assert.equal(sample(after, "espalier_tokens_total", { of: "prompt" }), 2 * written.choices[0].summary.promptTokens);
  assert.equal(sample(after, "espalier_time_to_first_token_seconds_count"), 2);
  assert.equal(sample(after, "espalier_tokens_per_second_bucket", { le: "+Inf" }), 2);
  assert.equal(sample(after, "espalier_generations_active"), 0);
  assert.equal(sample(after, "espalier_models_loaded"), 1);
  assert.ok((sample(after, "espalier_models_memory_bytes") ?? 0) <= (sample(after, "espalier_models_memory_limit_bytes") ?? 0));
  assert.equal(sample(after, "espalier_workers"), 1);
  assert.equal(sample(after, "espalier_queue_wait_seconds"), 0);
  assert.ok((sample(after, "espalier_http_request_duration_seconds_count", { route: "/graphql", status: "200" }) ?? 0) >= 2);
  await follower.return?.();
});

test("once there are tokens, it is for those who may read", async () => {
  const { secret } = await createToken(api.services.store.prisma, { name: "prometheus", role: "READ", expiresAt: null });
  await until("a token is asked for", async () => (await asked()).status === 401);
  assert.ok((await metrics(`Bearer ${secret}`)).length > 50);
});
