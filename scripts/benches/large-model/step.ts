/**
 * One step with a large model, in a process of its own: `register DATA FOLDER`, `prune FOLDER`, `remove FOLDER DESTINATION` or
 * `cut FOLDER DESTINATION`. Prints a StepResult.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { exportPruned } from "../../../src/models/export.ts";
import { inspect } from "../../../src/models/inspect.ts";
import { decode } from "../../../src/onnx/decode.ts";
import type { Model } from "../../../src/onnx/ir.ts";
import { tensorReader } from "../../../src/onnx/read-tensor.ts";
import { gradientNorm } from "../../../src/pruning/methods/gradient-norm.ts";
import { defaultPruningOptions } from "../../../src/pruning/options.ts";
import { prune } from "../../../src/pruning/prune.ts";
import { anatomyOf } from "../../../src/structures/anatomy.ts";
import { discover } from "../../../src/structures/discover.ts";
import { divide } from "../../../src/structures/divide.ts";
import type { StructureId } from "../../../src/structures/structure.ts";
import { loadDataset } from "../../../src/text/datasets.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";
import { tokens } from "./make.ts";

export interface StepResult {
  readonly seconds: number;
  /** The most memory that the process ever had for itself. Files that are mapped are not of it: the system takes their pages back when it likes. */
  readonly peakBytes: number;
}

async function register(dataDirectory: string, folder: string): Promise<void> {
  await inspect({ dataDirectory, modelRoot: folder, path: "." });
}

/** As a pruning run exports what is left. */
async function exportWithout(folder: string, destination: string, gone: (model: Model) => Promise<StructureId[]>): Promise<void> {
  const model = decode(await readFile(join(folder, "model.onnx")));
  const files = ["model.onnx", "model.onnx_data", "config.json"].map((path) => ({ path }));
  await exportPruned({ model, folder, files, removed: await gone(model), destination });
}

/** Every fourth layer. */
const remove = (folder: string, destination: string): Promise<void> =>
  exportWithout(folder, destination, async (model) =>
    anatomyOf(model)
      .places.filter(({ kind }) => kind === "LAYER")
      .filter((_, i) => i % 4 === 1),
  );

/** The first head of each layer, and every fifth channel: all large weights are cut. */
const cut = (folder: string, destination: string): Promise<void> =>
  exportWithout(folder, destination, async (model) => {
    const { anatomy, parameters } = discover(model, tensorReader(folder));
    const { groups } = await divide(model, anatomy, parameters);
    const every = { HEAD: Number.POSITIVE_INFINITY, CHANNEL: 5 };
    return groups.flatMap(({ kind, index, count }) =>
      Array.from({ length: count }, (_, i) => i)
        .filter((i) => i % every[kind as keyof typeof every] === 0)
        .map((i) => ({ kind, index: index + i })),
    );
  });

/** Scores heads and channels and removes some of each layer, and does so again with what is left. One short text: the weights are what is large. */
async function pruneTwice(folder: string): Promise<void> {
  const model = decode(await readFile(join(folder, "model.onnx")));
  const tokenizer = await loadTokenizer(fileURLToPath(new URL("../../../models/ahab", import.meta.url)));
  const { documents } = await loadDataset({ name: "literature-train" });
  const everywhere = { headMultiple: 1, channelMultiple: 1 };
  const chosen = { structureKinds: ["HEAD", "CHANNEL"], targetRatio: 0.5, structuresPerIteration: 0.02, uniform: everywhere } as const;
  const options = { ...defaultPruningOptions, ...chosen, samples: 1, sequenceLength: tokens, executionProvider: "CPU" } as const;
  const steps = prune({ model, folder, scratch: join(folder, "scratch"), tokenizer, documents, method: gradientNorm, options, done: [] });
  let iterations = 0;
  for await (const event of steps) if (event.type === "ITERATION" && ++iterations === 2) return;
  throw new Error("the weights were not cut twice");
}

/** Looks every few milliseconds, in a thread of its own: what ONNX Runtime does holds this one. */
function watchMemory(): () => Promise<number> {
  const most = new Float64Array(new SharedArrayBuffer(8));
  const look = `const { readFileSync } = require("node:fs"), most = require("node:worker_threads").workerData;
    setInterval(() => { most[0] = Math.max(most[0], 1024 * /^RssAnon:\\s+(\\d+)/m.exec(readFileSync("/proc/self/status"))[1]); }, 5);`;
  const watcher = new Worker(look, { eval: true, workerData: most });
  return async () => {
    await watcher.terminate();
    return most[0] as number;
  };
}

const [step, from = "", to = ""] = process.argv.slice(2);
const peak = watchMemory();
const start = performance.now();
const steps: Readonly<Record<string, (from: string, to: string) => Promise<void>>> = { register, prune: pruneTwice, remove, cut };
await steps[step as string]?.(from, to);
const seconds = (performance.now() - start) / 1000;
const result: StepResult = { seconds, peakBytes: await peak() };
console.log(JSON.stringify(result));
