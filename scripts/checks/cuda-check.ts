/**
 * Holds what Espalier computes on CUDA against the CPU: the forward graph and one token after a cache, PIP's scores of all kinds of
 * structures, and whole pruning runs, of every fixture and of the models named. Says which nodes ran on the CPU after all.
 * Without CUDA it says what is missing, and ends with 1.
 *
 *     npm run cuda:check -- [--model FOLDER ...] [--fixtures FOLDER]
 *
 * Set NVIDIA_TF32_OVERRIDE=0 to keep products from being rounded to TF32's ten bits.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { EspalierError } from "../../src/errors.ts";
import { graphFile } from "../../src/inference/language-model.ts";
import { decode } from "../../src/onnx/decode.ts";
import { pip } from "../../src/pruning/methods/pip.ts";
import { defaultPruningOptions, type PruningOptions } from "../../src/pruning/options.ts";
import { prune } from "../../src/pruning/prune.ts";
import { type ConcreteProvider, cudaObstacle } from "../../src/runtime/providers.ts";
import { loadDataset } from "../../src/text/datasets.ts";
import { loadTokenizer } from "../../src/text/tokenizer.ts";
import { generateOn } from "./cuda/generate.ts";
import { gpuName, withGpuMemory } from "./cuda/gpu.ts";
import { placementOf, placementText } from "./cuda/placement.ts";
import { runScoreGraph, wholeScoreGraph } from "./cuda/score-graph.ts";
import { scoresOn } from "./cuda/scores.ts";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseArgs({
  options: {
    model: { type: "string", multiple: true, default: [join(repository, "models", "ahab")] },
    fixtures: { type: "string", default: join(repository, "test", "fixtures", "exporters") },
  },
});

const models = values.model.map((folder) => resolve(folder));

/** The largest difference between two lists, by the largest entry of the first. */
function apart(expected: ArrayLike<number>, found: ArrayLike<number>): number {
  let [difference, largest] = [expected.length === found.length ? 0 : Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < expected.length; i++) {
    const [e, f] = [expected[i] as number, found[i] as number];
    difference = Math.max(difference, Number.isFinite(f) ? Math.abs(e - f) : Number.POSITIVE_INFINITY);
    largest = Math.max(largest, Math.abs(e));
  }
  return difference / largest;
}

/** Sums of many products in another order, of weights drawn at random: what may differ, by the largest entry. With TF32 products have ten bits. */
const tolerance = process.env["NVIDIA_TF32_OVERRIDE"] === "0" ? 1e-3 : 2e-2;

const obstacle = await cudaObstacle();
if (obstacle !== null) {
  console.log(`CUDA cannot be loaded on this machine, so nothing was checked. ONNX Runtime says: ${obstacle}`);
  process.exit(1);
}
console.log(`${gpuName()}; TF32 ${process.env["NVIDIA_TF32_OVERRIDE"] === "0" ? "off" : "on"}; tolerance ${tolerance}\n`);

let wrong = 0;
const mark = (difference: number): string => {
  if (!(difference <= tolerance)) wrong++;
  return `${difference.toExponential(1)}${difference <= tolerance ? "" : " WRONG"}`;
};
const reasonOf = (error: unknown): string => {
  wrong++;
  return error instanceof EspalierError ? `${error.code}: ${error.message.slice(0, 300)}` : String(error);
};

const fixtures = readdirSync(values.fixtures, { recursive: true })
  .map((path) => join(values.fixtures, String(path)))
  .filter((path) => basename(path) === "model.onnx")
  .sort();

console.log(
  "| model | logits | a token after the cache | scores by output | scores by weights | forward nodes: on the GPU, on the CPU | score nodes: on the GPU, on the CPU |",
);
console.log("| --- | ---: | ---: | ---: | ---: | --- | --- |");
for (const path of [...fixtures, ...(await Promise.all(models.map(graphFile)))]) {
  const folder = dirname(path);
  const name = relative(path.startsWith(values.fixtures) ? values.fixtures : repository, folder);
  try {
    const model = decode(readFileSync(path));
    const root = basename(folder) === "onnx" ? dirname(folder) : folder;
    const onCpu = await generateOn("CPU", root);
    const onCuda = await generateOn("CUDA", root);
    const vocabulary = Math.min(onCpu.vocabulary, 500);
    const scores = async (by: "OUTPUT" | "WEIGHTS") =>
      mark(apart(await scoresOn("CPU", model, folder, by, vocabulary), await scoresOn("CUDA", model, folder, by, vocabulary)));
    const forward = await placementOf(async (native) => {
      await generateOn("CUDA", root, native);
    });
    const plan = await wholeScoreGraph(model, folder, 4, 24);
    const scoring = await placementOf((native) => runScoreGraph(plan, model, folder, { executionProvider: "CUDA", native }));
    const cells = [
      mark(apart(onCpu.logits, onCuda.logits)),
      mark(apart(onCpu.next, onCuda.next)),
      await scores("OUTPUT"),
      await scores("WEIGHTS"),
      placementText(forward),
      placementText(scoring),
    ];
    console.log(`| ${name} | ${cells.join(" | ")} |`);
  } catch (error) {
    console.log(`| ${name} | ${reasonOf(error)} |`);
  }
}

/** One pruning run, and how long an iteration took after the first. */
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
const seconds = (ms: number): string => (ms / 1000).toFixed(2);
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

console.log("\n| PIP, 20% | iterations | CPU, s | CUDA, s | an iteration on CUDA after the first, s | GPU memory, MiB | removed alike |");
console.log("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
for (const folder of models.filter((f) => existsSync(join(f, "tokenizer.json"))))
  for (const [name, options] of Object.entries(granularities)) {
    try {
      const cpu = await run("CPU", folder, options);
      const watched = await withGpuMemory(() => run("CUDA", folder, options));
      const cuda = watched.result;
      if (cuda.ran !== "CUDA") throw new Error(`it ran on ${cuda.ran}`);
      const chosen = new Set(cpu.removed);
      const alike = cuda.removed.filter((r) => chosen.has(r)).length;
      const [first = 0, ...later] = cuda.durations;
      const cells = [
        cuda.durations.length,
        seconds(sum(cpu.durations)),
        seconds(first + sum(later)),
        seconds(sum(later) / (later.length || 1)),
        watched.peakMiB,
      ];
      console.log(`| ${basename(folder)} by ${name} | ${cells.join(" | ")} | ${alike} of ${cpu.removed.length} |`);
    } catch (error) {
      console.log(`| ${basename(folder)} by ${name} | ${reasonOf(error)} |`);
    }
  }

console.log(wrong === 0 ? "\nAll within tolerance." : `\n${wrong} outside the tolerance, or failed.`);
process.exit(wrong === 0 ? 0 : 1);
