import assert from "node:assert/strict";
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { type Answer, type TestApi, testApi } from "../support/api.ts";
import { runningComputeProcesses } from "../support/compute-processes.ts";
import { temporaryFolder } from "../support/database.ts";
import { until } from "../support/wait.ts";

/** What matters is how many are described at once, not what they are. */
const tiny = new URL("../fixtures/exporters/dynamo/bloom", import.meta.url);

let api: TestApi;
let folder: string;
before(async () => {
  folder = await temporaryFolder();
  await cp(tiny, join(folder, "tiny"), { recursive: true });
  api = await testApi({ worker: false, modelRoot: folder });
});
after(async () => {
  await api.close();
  await rm(folder, { recursive: true });
});

const register = (name: string, signal?: AbortSignal): Promise<Answer> => {
  const query = `mutation { registerModel(input: { source: { path: "tiny" }, name: "${name}" }) { model { id } } }`;
  const headers = { "content-type": "application/json" };
  return fetch(api.url, { method: "POST", headers, body: JSON.stringify({ query }), ...(signal ? { signal } : {}) }).then(
    (r) => r.json() as Promise<Answer>,
  );
};

test("models are described two at a time; some wait, and the rest is told to come again", async () => {
  let most = 0;
  let over = false;
  const watching = (async () => {
    for (; !over; await delay(5)) most = Math.max(most, runningComputeProcesses().length);
  })();
  const answers = await Promise.all(Array.from({ length: 24 }, (_, i) => register(`m${i}`)));
  over = true;
  await watching;
  const refused = answers.filter(({ errors }) => errors);
  assert.deepEqual(
    refused.map(({ errors }) => errors?.[0]?.extensions["code"]),
    Array(6).fill("OVERLOADED"),
  );
  assert.ok(most >= 1 && most <= 2, `${most} processes`);
});

test("a description ends when its client leaves, and so does one that waits", async () => {
  const leaving = new AbortController();
  const asked = Array.from({ length: 6 }, (_, i) => register(`n${i}`, leaving.signal).catch(() => null));
  await until("processes run", () => runningComputeProcesses().length === 2);
  leaving.abort();
  await Promise.all(asked);
  await until("no process is left", () => runningComputeProcesses().length === 0);
  assert.ok((await register("after")).data);
});
