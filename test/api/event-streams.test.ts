import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { once } from "node:events";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { createClient } from "graphql-sse";
import { pino } from "pino";
import { startServer } from "../../src/api/server.ts";
import { recordPassing, recordStart } from "../../src/store/pruning-runs.ts";
import { claimRun, recordFailure } from "../../src/store/run-progress.ts";
import { cancelRun } from "../../src/store/runs.ts";
import { type TestApi, testApi } from "../support/api.ts";
import { computeProcesses } from "../support/compute-processes.ts";
import { processorMsOf } from "../support/processor-time.ts";
import { newRun } from "../support/records.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
/** The bundled model. */
let modelId: string;
before(async () => {
  api = await testApi();
  modelId = (await api.data('mutation { registerModel(input: { source: { path: "ahab" } }) { model { id } } }')).registerModel.model.id;
});
after(() => api.close());

// biome-ignore lint/suspicious/noExplicitAny: tests read answers as they come
type Result = { readonly data?: any; readonly errors?: any };

/** All results of an operation, by the standard client; it throws if the stream ends before it is complete. */
async function results(query: string, variables: Record<string, unknown> = {}, url = api.url): Promise<Result[]> {
  const client = createClient({ url, retryAttempts: 0 });
  const list: Result[] = [];
  for await (const result of client.iterate({ query, variables })) list.push(result as Result);
  return list;
}

async function takenUp() {
  const { store } = api.services;
  const { id: runId } = await newRun(store);
  const claim = await claimRun(store, runId);
  assert.ok(claim);
  await recordStart(store, claim, { executionProvider: "CPU", parameterCount: 1000, targetParameterCount: 800, candidates: 2 });
  const scored = (samplesDone: number) => recordPassing(store, claim, "SCORING", { iteration: 0, samplesDone, samplesTotal: 100 });
  return { store, runId, scored, fail: () => recordFailure(store, runId, { code: "X", message: "x" }) };
}

const progress = "subscription($runId: ID!, $after: Int) { runProgress(runId: $runId, after: $after) { sequence __typename } }";
const generate = `subscription($input: GenerateInput!) { generate(input: $input) {
  __typename ... on GenerationDelta { text } ... on GenerationCompleted { summary { completionTokens } } } }`;

/** One request as it goes over the wire, answered as a stream. */
async function open(url: string, body: object, headers: Record<string, string> = {}): Promise<[ClientRequest, IncomingMessage]> {
  const all = { "content-type": "application/json", accept: "text/event-stream", ...headers };
  const request = httpRequest(url, { method: "POST", headers: all });
  request.end(JSON.stringify(body));
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return [request, response];
}

test("the standard client gets all four subscriptions: each event once, in order, until they are complete", async () => {
  const { runId, scored, fail } = await takenUp();
  const following = results(progress, { runId, after: 0 });
  await scored(1);
  await scored(2);
  await fail();
  assert.deepEqual(
    (await following).map(({ data }) => [data.runProgress.sequence, data.runProgress.__typename]),
    [
      [1, "PruningStarted"],
      [2, "PruningScoring"],
      [3, "PruningScoring"],
      [4, "RunFailed"],
    ],
  );
  assert.deepEqual(
    (await results(progress, { runId, after: 3 })).map(({ data }) => data.runProgress.sequence),
    [4],
  );

  const text = await results(generate, { input: { modelId, prompt: { text: "Call me" }, maxTokens: 12 } });
  assert.equal(text.at(-1)?.data.generate.summary.completionTokens, 12);
  const written = text.map(({ data }) => data.generate.text ?? "").join("");
  const whole = "mutation($input: GenerateInput!) { generate(input: $input) { text } }";
  assert.equal(written, (await api.data(whole, { input: { modelId, prompt: { text: "Call me" }, maxTokens: 12 } })).generate.text);
  const compare = "subscription($input: CompareInput!) { compare(input: $input) { __typename } }";
  const compared = await results(compare, { input: { modelIds: [modelId], prompt: { text: "Call me" }, maxTokens: 3 } });
  assert.equal(compared.at(-1)?.data.compare.__typename, "GenerationCompleted");

  const evaluate = `mutation { startEvaluation(input: { subject: { modelId: "${modelId}" }, dataset: { texts: ["It was the best of times."] }, measureSpeed: false }) { run { id } } }`;
  const { id } = (await api.data(evaluate)).startEvaluation.run;
  const evaluated = await results(`subscription { runProgress(runId: "${id}") { run { status error { code } } } }`);
  assert.ok(["SUCCEEDED", "FAILED"].includes(evaluated.at(-1)?.data.runProgress.run.status));
});

test("curl gets them too, by POST and by GET", async (t) => {
  if (spawnSync("curl", ["--version"]).status !== 0) return t.skip("curl is not installed");
  const { runId, store } = await takenUp();
  await cancelRun(store, runId);
  const query = `subscription { runProgress(runId: "${runId}") { sequence } }`;
  const stream = ["-sN", "-H", "accept: text/event-stream"];
  const post = ["-H", "content-type: application/json", "--data", JSON.stringify({ query })];
  const get = ["-G", "-H", "apollo-require-preflight: true", "--data-urlencode", `query=${query}`];
  const expected = [1, 2].map((sequence) => `event: next\ndata: {"data":{"runProgress":{"sequence":${sequence}}}}\n\n`).join("");
  for (const how of [post, get]) {
    const { stdout } = await promisify(execFile)("curl", [...stream, ...how, api.url]);
    assert.equal(stdout, `:\n\n${expected}event: complete\ndata: \n\n`);
  }
});

test("what cannot run is told in the stream, with the codes that WebSockets give", async () => {
  const refused: readonly (readonly [query: string, variables: Record<string, unknown>, code: string])[] = [
    ["subscription {", {}, "GRAPHQL_PARSE_FAILED"],
    ["subscription { weather }", {}, "GRAPHQL_VALIDATION_FAILED"],
    ['subscription { runProgress(runId: "x") @skip(if: true) { sequence } }', {}, "GRAPHQL_VALIDATION_FAILED"],
    ["subscription A { weather } subscription B { weather }", {}, "GRAPHQL_VALIDATION_FAILED"],
    ['subscription A { runProgress(runId: "x") { sequence } } query B { pruningMethods { name } }', {}, "OPERATION_RESOLUTION_FAILURE"],
    [progress, { runId: 1.5 }, "BAD_USER_INPUT"],
    [progress, { runId: "x" }, "RUN_NOT_FOUND"],
    [progress, { runId: "x", after: -1 }, "BAD_USER_INPUT"],
    [
      `subscription { runProgress(runId: "x") { ${Array.from({ length: 31 }, (_, i) => `a${i}: sequence`).join(" ")} } }`,
      {},
      "REQUEST_TOO_LARGE",
    ],
  ];
  for (const [query, variables, code] of refused) {
    const told = await results(query, variables);
    assert.deepEqual([told.length, told[0]?.errors[0].extensions.code], [1, code], query);
  }
  // Queries and mutations may ask for a stream as well.
  assert.ok((await results("{ pruningMethods { name } }"))[0]?.data.pruningMethods.length > 3);
  assert.equal(
    (await results('mutation { deleteModel(input: { id: "x" }) { deletedId } }'))[0]?.errors[0].extensions.code,
    "MODEL_NOT_FOUND",
  );
});

test("an error nobody expected is masked in the stream", async () => {
  const { runId, store } = await takenUp();
  await cancelRun(store, runId);
  await store.prisma.$executeRaw`ALTER TABLE "Event" RENAME TO "LostEvent"`;
  try {
    const [{ errors } = {}] = await results(progress, { runId });
    assert.equal(errors[0].extensions.code, "INTERNAL_SERVER_ERROR");
    assert.doesNotMatch(JSON.stringify(errors), /prisma|relation|exist/i);
    assert.ok(api.log.some((line) => line.includes(errors[0].extensions.logId)));
  } finally {
    await store.prisma.$executeRaw`ALTER TABLE "LostEvent" RENAME TO "Event"`;
  }
});

test("without that Accept a subscription is refused, and told what to do", async () => {
  const query = 'subscription { runProgress(runId: "x") { sequence } }';
  for (const accept of ["*/*", "application/json", "text/html, application/xhtml+xml"]) {
    const headers = { "content-type": "application/json", accept };
    const response = await fetch(api.url, { method: "POST", headers, body: JSON.stringify({ query }) });
    const { errors } = (await response.json()) as Result;
    assert.deepEqual([response.status, errors[0].extensions.code], [406, "EVENT_STREAM_REQUIRED"], accept);
    assert.match(errors[0].message, /Accept: text\/event-stream/);
  }
});

test("a stream on which nothing happens says that it goes on; a client that leaves leaves nothing behind", async () => {
  const { runId, store } = await takenUp();
  const watched = () => (store.listener as unknown as { watches: Map<string, Set<unknown>> }).watches.has(runId);
  const server = await startServer(api.services, "127.0.0.1", 0, pino({ level: "silent" }), { keepAliveMs: 50 });
  try {
    const [request, response] = await open(server.url, { query: progress, variables: { runId } });
    assert.equal(response.headers["content-type"], "text/event-stream; charset=utf-8");
    let text = "";
    response.on("data", (data: Buffer) => (text += data.toString()));
    response.on("error", () => {});
    await until("it has said so twice", () => /sequence[\s\S]*(\n\n:\n\n:\n\n)/.test(text));
    assert.ok(watched());
    request.destroy();
    await until("it is watched no more", () => !watched());
  } finally {
    await server.stop();
  }
});

test("leaving a generation stops it", async () => {
  const { generators } = api.services;
  const active = () =>
    [...(generators as unknown as { loaded: Map<string, { active: number }> }).loaded.values()].some((m) => m.active > 0);
  const input = { modelId, prompt: { text: "Call me" }, maxTokens: 4096, n: 2 };
  const computed = () => computeProcesses.reduce((sum, { pid }) => sum + processorMsOf(pid as number), 0);
  const before = computed();
  await results(generate, { input });
  const wholeMs = computed() - before;
  const [request] = await open(api.url, { query: generate, variables: { input } });
  await until("it computes", active);
  const left = computed();
  request.destroy();
  await until("nothing is computed any more", () => !active());
  assert.ok(computed() - left <= wholeMs / 2, `${computed() - left} ms, of ${wholeMs} for the whole`);
});

test("a reader that stops reading for good is cut off, at a bounded cost, and told the sequence to go on from", async () => {
  const { runId, scored } = await takenUp();
  const log: string[] = [];
  const logger = pino({ level: "warn" }, { write: (line) => void log.push(line) });
  const server = await startServer(api.services, "127.0.0.1", 0, logger, { stalledMs: 1500 });
  try {
    const fields = Array.from({ length: 25 }, (_, i) => `${"x".repeat(4000)}${i}: createdAt`).join(" ");
    const query = `subscription { runProgress(runId: "${runId}") { sequence ${fields} } }`;
    const [, response] = await open(server.url, { query });
    response.pause();
    for (let i = 0; i < 200; i++) await scored(i);
    await until("it is cut off", () => log.some((line) => line.includes("cut off")));
    let text = "";
    for await (const data of response) text += String(data);
    const told = [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json as string) as Result);
    const sequences = told.flatMap(({ data }) => (data ? [data.runProgress.sequence as number] : []));
    const last = sequences.at(-1) as number;
    assert.ok(last < 150, `20 MB were to be sent, of which ${last} of 201 events were`);
    assert.deepEqual(
      sequences,
      Array.from({ length: last }, (_, i) => i + 1),
    );
    assert.deepEqual(told.at(-1)?.errors[0].extensions, { code: "SUBSCRIBER_TOO_SLOW", after: { [runId]: last } });
    assert.doesNotMatch(text, /event: complete/, "it is not: a client connects again");
  } finally {
    await server.stop();
  }
});

test("a reader that stops reading for a while loses nothing", async () => {
  const { runId, scored, fail } = await takenUp();
  // However long that while is on a busy machine.
  const server = await startServer(api.services, "127.0.0.1", 0, pino({ level: "silent" }), { stalledMs: 600_000 });
  try {
    const fields = Array.from({ length: 25 }, (_, i) => `${"x".repeat(400)}${i}: createdAt`).join(" ");
    const [, response] = await open(server.url, { query: `subscription { runProgress(runId: "${runId}") { sequence ${fields} } }` });
    response.pause();
    for (let i = 0; i < 400; i++) await scored(i);
    await fail();
    let text = "";
    for await (const data of response) text += String(data);
    assert.deepEqual(
      [...text.matchAll(/"sequence":(\d+)/g)].map(([, sequence]) => Number(sequence)),
      Array.from({ length: 402 }, (_, i) => i + 1),
    );
  } finally {
    await server.stop();
  }
});

test("stopping the server ends a stream without completing it: clients connect again", async () => {
  const { runId } = await takenUp();
  const server = await startServer(api.services, "127.0.0.1", 0, pino({ level: "silent" }));
  const [, response] = await open(server.url, { query: progress, variables: { runId } });
  let text = "";
  const ended = (async () => {
    for await (const data of response) text += String(data);
  })();
  await until("it follows", () => text.includes("sequence"));
  await server.stop();
  await ended;
  assert.doesNotMatch(text, /event: complete/);
});
