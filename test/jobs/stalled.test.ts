import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ModelProcesses } from "../../src/compute/model-processes.ts";
import { patienceMs } from "../../src/compute/sign-of-life.ts";
import type { GenerationRequest, ServingTask, Tasks } from "../../src/compute/tasks.ts";
import { storedModel } from "../../src/jobs/stored-model.ts";
import { type TestDatabase, temporaryFolder, testDatabase } from "../support/database.ts";
import { catastrophe, writeHostileModel } from "../support/hostile-model.ts";
import { registerFolder } from "../support/register.ts";
import { isAlive, until } from "../support/wait.ts";

let database: TestDatabase;
let folder: string;
let processes: ModelProcesses;
let base: Omit<GenerationRequest, "prompt">;
before(async () => {
  database = await testDatabase();
  folder = await temporaryFolder();
  await writeHostileModel(join(folder, "model"));
  const { id } = await registerFolder({ ...database, modelRoot: folder }, "model", "slow");
  const model = await storedModel(database, id);
  base = { model, maxTokens: 4, temperature: 0, topK: 0, topP: 1, seed: 0, executionProvider: "CPU" };
  processes = new ModelProcesses({ patience: { ...patienceMs, READING_TEXT: 1500 } });
});
after(async () => {
  await processes.close();
  await database.close();
  await rm(folder, { recursive: true });
});

const staying = new AbortController().signal;

async function result<Name extends ServingTask>(task: Name, request: Tasks[Name]["request"]): Promise<Tasks[Name]["result"]> {
  const steps = processes.run(task, request, staying);
  for (let step = await steps.next(); ; step = await steps.next()) if (step.done) return step.value;
}

const pid = (): number => {
  const { loaded } = processes as unknown as { loaded: Map<string, { process: { pid: number } }> };
  return [...loaded.values()][0]?.process.pid as number;
};

const stuck: Record<string, () => Promise<unknown>> = {
  "a tokenizer's catastrophic expression, in a prompt": () => result("generate", { ...base, prompt: catastrophe }),
  "in a continuation": () => result("score", { ...base, prompt: "a", continuations: [catastrophe] }),
  "in a text to embed": () => result("embed", { ...base, texts: [catastrophe], pooling: "MEAN", normalize: false }),
};

for (const [name, work] of Object.entries(stuck))
  test(`${name}: the process ends, and the model goes on answering`, { timeout: 60_000 }, async () => {
    const [before] = await result("generate", { ...base, prompt: "The whale" });
    assert.equal(before?.completionTokens, 4);
    const stalled = pid();
    await assert.rejects(work(), { code: "COMPUTE_STALLED", details: { at: "READING_TEXT", silenceMs: 1500 } });
    await until("the process ends", () => !isAlive(stalled));
    const [again] = await result("generate", { ...base, prompt: "The whale" });
    assert.equal(again?.completionTokens, 4);
  });

test("a chat template's loop ends by itself", async () => {
  const messages = [{ role: "user", content: "The whale" }];
  await assert.rejects(result("generate", { ...base, prompt: messages }), { code: "INVALID_CHAT_TEMPLATE" });
});

test("a request's own time limit holds while its process is stuck with another's text", { timeout: 60_000 }, async () => {
  const patient = new ModelProcesses({ patience: { ...patienceMs, READING_TEXT: 8000 } });
  try {
    const signal = AbortSignal.timeout(50_000);
    const run = async (request: GenerationRequest) => {
      for await (const _ of patient.run("generate", request, signal));
    };
    await run({ ...base, prompt: "The whale" });
    let ended = false;
    const stalled = run({ ...base, prompt: catastrophe }).finally(() => {
      ended = true;
    });
    await assert.rejects(run({ ...base, prompt: "The whale", timeLimitMs: 100 }), { code: "TIME_LIMIT" });
    assert.equal(ended, false, "only once the process was ended");
    await assert.rejects(stalled, { code: "COMPUTE_STALLED" });
  } finally {
    await patient.close();
  }
});
