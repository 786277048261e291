import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { after, before, test } from "node:test";
import { storeFile } from "../../src/artifacts/model-files.ts";
import { ComputeProcess } from "../../src/compute/compute-process.ts";
import type { FromCompute } from "../../src/compute/protocol.ts";
import type { GenerationRequest, StoredModel, Tasks } from "../../src/compute/tasks.ts";
import type { TextSummary } from "../../src/inference/generate.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { serialise } from "../../src/text/dataset-content.ts";
import { storeAhab } from "../support/ahab.ts";
import { program } from "../support/checkout.ts";
import { temporaryFolder } from "../support/database.ts";
import { smallEvaluation } from "../support/records.ts";
import { isAlive, until } from "../support/wait.ts";

let directory: string;
let model: StoredModel;
let compute: ComputeProcess;
before(async () => {
  directory = await temporaryFolder();
  model = await storeAhab(directory);
  compute = new ComputeProcess();
});
after(async () => {
  await compute.kill();
  await rm(directory, { recursive: true });
});

const request = (prompt: string, maxTokens: number): GenerationRequest => ({
  model,
  prompt,
  maxTokens,
  temperature: 0,
  topK: 0,
  topP: 1,
  seed: 0,
  executionProvider: "CPU",
});

type Generation = AsyncGenerator<Tasks["generate"]["event"], Tasks["generate"]["result"]>;

async function read(generation: Generation): Promise<{ text: string; summary: TextSummary }> {
  let text = "";
  for (let step = await generation.next(); ; step = await generation.next()) {
    if (step.done) return { text, summary: step.value[0] as TextSummary };
    if ("text" in step.value) text += step.value.text;
  }
}

test("runs that share a process get their own events, in order, and their own results", async () => {
  const prompts = ["Call me", "The whale", "Fellow citizens"];
  const alone: string[] = [];
  for (const prompt of prompts) alone.push((await read(compute.run("generate", request(prompt, 24)))).text);
  const { pid } = compute;
  const together = await Promise.all(prompts.map((prompt) => read(compute.run("generate", request(prompt, 24)))));
  assert.deepEqual(
    together.map((t) => t.text),
    alone,
  );
  for (const { summary } of together) assert.equal(summary.completionTokens, 24);
  assert.equal(compute.pid, pid);
});

test("an error of a task arrives with its code and details, and the process goes on", async () => {
  await read(compute.run("generate", request("Call me", 1)));
  const { pid } = compute;
  const dataset = { dataDirectory: model.dataDirectory, digest: "no such dataset" };
  const run = compute.run("overlap", { dataset, other: dataset });
  await assert.rejects(run.next(), (error: Error & { code?: string; details?: { sha256?: string } }) => {
    assert.equal(error.code, "ARTIFACT_MISSING");
    assert.equal(error.details?.sha256, "no such dataset");
    assert.match(error.stack ?? "", /stored-dataset\.[tj]s/, "the stack is the task's");
    return true;
  });
  await read(compute.run("generate", request("Call me", 1)));
  assert.equal(compute.pid, pid);
});

test("whatever reads text asks whether the model has a row for each token", async () => {
  // As many rows as other models may have.
  const small = { ...model, vocabularySize: 2000 };
  const { dataDirectory } = model;
  const records = serialise({ form: "TEXT", documents: ["The whale"] });
  const dataset = { dataDirectory, digest: (await storeFile(dataDirectory, records)).sha256 };
  const options = { ...defaultPruningOptions, executionProvider: "CPU" } as const;
  // Another process: a model that is loaded stays.
  const other = new ComputeProcess();
  const runs = [
    other.run("generate", { ...request("Call me", 1), model: small }),
    other.run("score", { model: small, executionProvider: "CPU", prompt: "a", continuations: ["b"] }),
    other.run("embed", { model: small, executionProvider: "CPU", texts: ["a"], pooling: "MEAN", normalize: true }),
    other.run("evaluate", { model: small, dataset, settings: smallEvaluation }),
    other.run("prune", { model: small, method: "PIP", options, dataset, done: [], scratch: directory }),
  ];
  for (const run of runs)
    await assert.rejects(
      (async () => {
        for await (const _ of run);
      })(),
      { code: "INVALID_TOKENIZER" },
    );
  await other.kill();
});

test("an abort ends a run at once, and the process goes on", async () => {
  const controller = new AbortController();
  const run = compute.run("generate", request("Call me", 400), controller.signal);
  await run.next();
  const { pid } = compute;
  const reason = new Error("changed my mind");
  const next = run.next().then(() => run.next());
  controller.abort(reason);
  await assert.rejects(next, reason);
  await assert.rejects(compute.run("generate", request("Call me", 1), controller.signal).next(), reason);
  const { summary } = await read(compute.run("generate", request("Call me", 4)));
  assert.equal(summary.completionTokens, 4);
  assert.equal(compute.pid, pid);
});

for (const [how, leave] of Object.entries({
  "whose reader leaves": async (run: Generation) => void (await run.return(undefined as never)),
  "that is aborted": async (run: Generation, controller: AbortController) => {
    controller.abort(new Error("changed my mind"));
    await assert.rejects(run.next(), /changed my mind/);
  },
}))
  test(`a run ${how} is cancelled in the process too, not only forgotten here`, async () => {
    // The results that come from the process, whether or not anybody here still waits for it.
    const ended: number[] = [];
    const controller = new AbortController();
    const run = compute.run("generate", request("Call me", 100), controller.signal);
    await run.next();
    const child = compute["child"] as ChildProcess;
    const listen = (message: FromCompute) => {
      if (message.kind === "result") ended.push(message.id);
    };
    child.on("message", listen);
    await leave(run, controller);
    // The same work, begun later in the same process: it ends after the first would have.
    await read(compute.run("generate", request("Call me", 100)));
    child.off("message", listen);
    assert.equal(ended.length, 1, "only the later run ended");
  });

test("a killed process takes its runs with it; the next run starts another", async () => {
  const runs = [compute.run("generate", request("Call me", 400)), compute.run("generate", request("The whale", 400))];
  for (const run of runs) await run.next();
  const pid = compute.pid as number;
  process.kill(pid, "SIGKILL");
  for (const run of runs) await assert.rejects(read(run), { code: "COMPUTE_PROCESS_DIED", message: /SIGKILL/ });
  assert.equal((await read(compute.run("generate", request("Call me", 4)))).summary.completionTokens, 4);
  assert.notEqual(compute.pid, pid);
});

test("a compute process does not outlive its parent", async () => {
  const parent = fork(program("test/support/compute-parent"), { serialization: "advanced" });
  parent.send(request("Call me", 400));
  const [pid] = (await once(parent, "message")) as [number];
  assert.ok(isAlive(pid));
  parent.kill("SIGKILL");
  await until("the compute process ends", () => !isAlive(pid));
});
