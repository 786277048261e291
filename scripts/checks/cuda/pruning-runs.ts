import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { graphFile } from "../../../src/inference/language-model.ts";
import { decode } from "../../../src/onnx/decode.ts";
import { pip } from "../../../src/pruning/methods/pip.ts";
import { defaultPruningOptions, type PruningOptions } from "../../../src/pruning/options.ts";
import { prune } from "../../../src/pruning/prune.ts";
import type { ConcreteProvider } from "../../../src/runtime/providers.ts";
import { loadDataset } from "../../../src/text/datasets.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";
import { withGpuMemory } from "./gpu.ts";
import { type Report, seconds } from "./report.ts";

/** One pruning run, and how long each iteration took. */
async function run(provider: ConcreteProvider, folder: string, options: Partial<PruningOptions>) {
  const path = await graphFile(folder);
  const scratch = mkdtempSync(join(tmpdir(), "espalier-cuda-"));
  const [tokenizer, { documents }] = await Promise.all([loadTokenizer(folder), loadDataset({ name: "literature-train" })]);
  const job = {
    model: decode(readFileSync(path)),
    folder: dirname(path),
    scratch: join(scratch, "weights"),
    tokenizer,
    documents,
    method: pip,
    done: [],
  };
  const durations: number[] = [];
  let ran = "";
  try {
    const steps = prune({ ...job, options: { ...defaultPruningOptions, ...options, executionProvider: provider } });
    let step = await steps.next();
    for (; !step.done; step = await steps.next()) {
      if (step.value.type === "STARTED") ran = step.value.executionProvider;
      if (step.value.type === "ITERATION") durations.push(step.value.durationMs);
    }
    return { ran, durations, removed: step.value.removed.map(({ kind, index }) => `${kind} ${index}`) };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const granularities: Readonly<Record<string, Partial<PruningOptions>>> = {
  layers: { structureKinds: ["LAYER"], structuresPerIteration: 1 },
  "heads and channels": { structureKinds: ["HEAD", "CHANNEL"], structuresPerIteration: 0.1 },
};
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

/** PIP by layers, and by heads and channels, of each model on the CPU and on CUDA. */
export async function pruningRuns(report: Report, models: readonly string[]): Promise<void> {
  report.heading(
    "PIP, 20%",
    "iterations",
    "CPU, s",
    "CUDA, s",
    "an iteration on CUDA after the first, s",
    "GPU memory, MiB",
    "removed alike",
  );
  for (const folder of models.filter((f) => existsSync(join(f, "tokenizer.json"))))
    for (const [name, options] of Object.entries(granularities))
      await report.row(`${basename(folder)} by ${name}`, async () => {
        const cpu = await run("CPU", folder, options);
        const watched = await withGpuMemory(() => run("CUDA", folder, options));
        const cuda = watched.result;
        if (cuda.ran !== "CUDA") throw new Error(`it ran on ${cuda.ran}`);
        const chosen = new Set(cpu.removed);
        const alike = cuda.removed.filter((r) => chosen.has(r)).length;
        const [first = 0, ...later] = cuda.durations;
        return [
          cuda.durations.length,
          seconds(sum(cpu.durations)),
          seconds(first + sum(later)),
          seconds(sum(later) / (later.length || 1)),
          watched.peakMiB,
          `${alike} of ${cpu.removed.length}`,
        ];
      });
}
