import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { after, before, test } from "node:test";
import { ModelProcesses } from "../../src/compute/model-processes.ts";
import { servingMemory } from "../../src/compute/serving-memory.ts";
import type { GenerationRequest } from "../../src/compute/tasks.ts";
import { storeAhab } from "../support/ahab.ts";
import { temporaryFolder } from "../support/database.ts";
import { isAlive, until } from "../support/wait.ts";

let folder: string;
/** The same model as two: it is another process for another provider. */
let onCpu: GenerationRequest;
let onAuto: GenerationRequest;
before(async () => {
  folder = await temporaryFolder();
  const model = await storeAhab(folder);
  const rest = { model, prompt: "The whale", maxTokens: 4, temperature: 0, topK: 0, topP: 1, seed: 0 };
  onCpu = { ...rest, executionProvider: "CPU" };
  onAuto = { ...rest, executionProvider: "AUTO" };
});
after(() => rm(folder, { recursive: true }));

/** Memory for one of them and not for two. */
const one = () => servingMemory(onCpu.model).totalBytes * 1.5;

const staying = new AbortController().signal;

async function tokens(processes: ModelProcesses, request: GenerationRequest, signal = staying): Promise<number> {
  let count = 0;
  for await (const event of processes.run("generate", request, signal)) if ("tokenIds" in event) count += event.tokenIds.length;
  return count;
}

const pids = (processes: ModelProcesses): number[] => {
  const { loaded } = processes as unknown as { loaded: Map<string, { process: { pid: number } }> };
  return [...loaded.values()].map(({ process }) => process.pid);
};

test("a model stays loaded for the next request; another takes the place of one that is not in use", async () => {
  const processes = new ModelProcesses({ memoryBytes: one() });
  try {
    assert.equal(await tokens(processes, onCpu), 4);
    const [first] = pids(processes) as [number];
    assert.equal(await tokens(processes, onCpu), 4);
    assert.deepEqual(pids(processes), [first]);
    assert.equal(await tokens(processes, onAuto), 4);
    const [second] = pids(processes) as [number];
    assert.notEqual(second, first);
    await until("the first process ends", () => !isAlive(first));
  } finally {
    const left = pids(processes);
    await processes.close();
    assert.deepEqual(left.filter(isAlive), []);
  }
});

test("while all are in use another model waits for its turn, or until its client leaves", async () => {
  const processes = new ModelProcesses({ memoryBytes: one() });
  try {
    const using = processes.run("generate", { ...onCpu, maxTokens: 100 }, staying);
    assert.equal((await using.next()).done, false);
    const leaving = new AbortController();
    const impatient = tokens(processes, onAuto, leaving.signal);
    const patient = tokens(processes, onAuto);
    leaving.abort(new Error("left"));
    await assert.rejects(impatient, /left/);
    assert.equal(pids(processes).length, 1);
    await using.return(undefined as never);
    assert.equal(await patient, 4);
  } finally {
    await processes.close();
  }
});

test("a process that is idle for long ends, and the next request starts another", async () => {
  const processes = new ModelProcesses({ memoryBytes: one(), idleMs: 50 });
  try {
    assert.equal(await tokens(processes, onCpu), 4);
    const [pid] = pids(processes) as [number];
    await until("the idle process ends", () => !isAlive(pid));
    assert.equal(await tokens(processes, onCpu), 4);
  } finally {
    await processes.close();
  }
});

test("a model that all the memory for models could not hold is refused at once", async () => {
  const processes = new ModelProcesses({ memoryBytes: 2 ** 20 });
  await assert.rejects(tokens(processes, onCpu), { code: "MODEL_TOO_LARGE", message: /1048576 are set aside/ });
});
