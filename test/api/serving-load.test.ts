import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { modelRoot } from "../support/ahab.ts";
import { type Answer, type TestApi, testApi } from "../support/api.ts";
import { registerFolder } from "../support/register.ts";
import { until } from "../support/wait.ts";

let api: TestApi;
let modelId: string;
before(async () => {
  api = await testApi({ worker: false });
  const { store, dataDirectory } = api.services;
  modelId = (await registerFolder({ store, dataDirectory, modelRoot }, "ahab")).id;
  await api.data(mutation, { input: { modelId, prompt: { text: "A" }, maxTokens: 1 } });
});
after(() => api.close());

const mutation = "mutation($input: GenerateInput!) { generate(input: $input) { text summary { timeToFirstTokenMs } } }";
const subscription = `subscription($input: GenerateInput!) {
  generate(input: $input) { __typename ... on GenerationDelta { text } ... on GenerationCompleted { summary { timeToFirstTokenMs } } }
}`;

/** Eight long texts; a client may have 64 under way, of which 16 are written at once. */
const eight = () => ({
  modelId,
  prompt: { text: "The whale" },
  maxTokens: 200,
  temperature: 1,
  n: 8,
  logitBias: [{ tokenId: 0, bias: -100 }],
});

const active = (): number => {
  const { loaded } = api.services.generators as unknown as { loaded: Map<string, { active: number }> };
  return [...loaded.values()].reduce((sum, model) => sum + model.active, 0);
};

const refused = (errors: Answer["errors"]): boolean => {
  if (!errors) return false;
  const [{ message, extensions }] = errors as [NonNullable<Answer["errors"]>[0]];
  assert.deepEqual([extensions["code"], extensions["own"], extensions["limit"]], ["OVERLOADED", 64, 64]);
  assert.match(message, /the client has 64 requests at this model, and may have 64/);
  return true;
};

test("a socket that asks for too much at once is refused with OVERLOADED, and others are served", async () => {
  const socket = api.socket();
  const variables = { input: eight() };
  const streams = Array.from({ length: 9 }, () => socket.iterate<unknown>({ query: subscription, variables }));
  // The first to be over is the one that is refused: texts take longer.
  const errors = await Promise.race(
    streams.map(async (stream) => {
      try {
        for await (const { errors } of stream) assert.equal(errors, undefined);
        return undefined;
      } catch (errors) {
        return errors as Answer["errors"];
      }
    }),
  );
  assert.ok(refused(errors), "one is refused");
  assert.equal(active(), 8, "and the others go on");
  const { generate } = await api.data(mutation, { input: { modelId, prompt: { text: "The whale" }, maxTokens: 4 } });
  assert.ok(generate.text.length > 0, "over HTTP, another client");
  await socket.dispose();
  await until("all have left", () => active() === 0);
});

test("over HTTP too; and requests that are given up leave their places to the next", async () => {
  const leaving = new AbortController();
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ query: mutation, variables: { input: eight() } });
  const ask = async () => (await (await fetch(api.url, { method: "POST", headers, body, signal: leaving.signal })).json()) as Answer;
  const all = Array.from({ length: 9 }, ask);
  const ends = Promise.allSettled(all);
  const { errors } = await Promise.race(all);
  assert.ok(refused(errors), "one is refused");
  leaving.abort();
  const given = (await ends).filter((end) => end.status === "rejected");
  assert.equal(given.length, 8, "the others were not over");
  await until("all have left", () => active() === 0);
  const { generate } = await api.data(mutation, { input: { ...eight(), maxTokens: 4 } });
  assert.ok(generate.text.length > 0, "all places are free");
});

test("a socket that is cut off leaves its places to others at once", async () => {
  const firstToken = async () => {
    const { generate } = await api.data(mutation, { input: { modelId, prompt: { text: "The whale" }, maxTokens: 1 } });
    return generate.summary.timeToFirstTokenMs as number;
  };
  /** Takes all 16 places. Resolves when a text is being written. */
  const take = async (): Promise<WebSocket> => {
    const socket = new WebSocket(api.url.replace("http", "ws"), "graphql-transport-ws");
    const said: string[] = [];
    socket.on("message", (data) => said.push(String(data)));
    await once(socket, "open");
    socket.send(JSON.stringify({ type: "connection_init" }));
    await until("it is connected", () => said.some((m) => m.includes("connection_ack")));
    for (const id of ["a", "b"])
      socket.send(JSON.stringify({ id, type: "subscribe", payload: { query: subscription, variables: { input: eight() } } }));
    await until("both are being written", () => ["a", "b"].every((id) => said.some((m) => m.includes(`"${id}"`) && m.includes("Delta"))));
    return socket;
  };
  const staying = await take();
  const late = await firstToken();
  staying.terminate();
  await until("it has left", () => active() === 0);
  const leaving = await take();
  leaving.terminate();
  await until("it has left", () => active() === 0);
  const soon = await firstToken();
  assert.ok(soon < late / 2, `the first token came after ${soon} ms where it came after ${late} ms while all places were taken`);
  assert.deepEqual(api.log, []);
});
