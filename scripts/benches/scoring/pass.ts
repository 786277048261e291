/**
 * Steps of `npm run bench:scoring`, each in a process of its own: `register DATA FOLDER INSIDE` prints a stored model; `score STORED TOKENS PAIRS TEXTS`
 * scores its layers once by gradients of weights, writes the texts as token ids, and prints a PassResult.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Worker } from "node:worker_threads";
import { finished } from "../../../src/finished.ts";
import { inspect } from "../../../src/models/inspect.ts";
import { openForPruning, openStoredModel } from "../../../src/models/stored-model.ts";
import { encode } from "../../../src/onnx/encode.ts";
import { tensorReader } from "../../../src/onnx/read-tensor.ts";
import { gradientDifferences } from "../../../src/pruning/evidence/gradients.ts";
import { openGroups } from "../../../src/pruning/open-groups.ts";
import { defaultPruningOptions } from "../../../src/pruning/options.ts";
import { wholeOf } from "../../../src/pruning/prune.ts";
import { seededRandom } from "../../../src/random.ts";
import { calibrationSamples, views } from "../../../src/text/calibration.ts";
import { loadDataset } from "../../../src/text/datasets.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";

export interface PassResult {
  readonly seconds: number;
  readonly processorSeconds: number;
  /** The most memory that the process ever had, mapped files and all. */
  readonly peakBytes: number;
  /** The same without pages of files, which the system takes back when it likes. */
  readonly peakOwnBytes: number;
  /** Mean over the pairs, by layer. */
  readonly scores: readonly number[];
}

type Stored = Parameters<typeof openStoredModel>[0];

async function register(data: string, folder: string, inside: boolean): Promise<void> {
  const dataDirectory = join(data, "data");
  const keep = async (path: string): Promise<Stored> => ({
    dataDirectory,
    ...(await inspect({ dataDirectory, modelRoot: path, path: "." })),
  });
  let stored = await keep(folder);
  if (inside) {
    const { model, graphFolder, folder: from } = await openStoredModel(stored);
    const read = tensorReader(graphFolder);
    const initializers = new Map(
      [...model.graph.initializers].map(([name, t]) => [name, { ...t, data: { kind: "inline" as const, bytes: read(t) } }]),
    );
    const to = join(data, "inside");
    await mkdir(to, { recursive: true });
    await writeFile(join(to, "model.onnx"), encode({ ...model, graph: { ...model.graph, initializers } }));
    const beside = stored.files.map((f) => f.path).filter((path) => !/onnx|safetensors/.test(path));
    for (const path of beside) await writeFile(join(to, basename(path)), readFileSync(join(from, path)));
    stored = await keep(to);
  }
  console.log(JSON.stringify(stored));
}

/** Looks every few milliseconds, in a thread of its own: what ONNX Runtime does holds this one. */
function watchMemory(): () => Promise<readonly [number, number]> {
  const most = new Float64Array(new SharedArrayBuffer(16));
  const look = `const { readFileSync } = require("node:fs"), most = require("node:worker_threads").workerData;
    setInterval(() => { const now = readFileSync("/proc/self/status", "utf8"), kB = (what) => 1024 * new RegExp(what + ":\\\\s+(\\\\d+)").exec(now)[1];
      most[0] = Math.max(most[0], kB("VmHWM")); most[1] = Math.max(most[1], kB("RssAnon")); }, 5);`;
  const watcher = new Worker(look, { eval: true, workerData: most });
  return async () => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    await watcher.terminate();
    return [most[0] as number, most[1] as number];
  };
}

async function score(stored: Stored, tokensPerRun: number, pairs: number, textsFile: string): Promise<void> {
  const peak = watchMemory();
  const { model, folder, graphFolder } = await openForPruning(stored);
  const options = { ...defaultPruningOptions, samples: pairs, executionProvider: "CPU" } as const;
  const tokenizer = await loadTokenizer(folder);
  const { documents } = await loadDataset({ name: "literature-train" });
  const whole = await wholeOf({ model, folder: graphFolder, options });
  const samples = calibrationSamples(tokenizer, documents, options).map((text, i) => views(tokenizer, text, options, i, 0));
  writeFileSync(textsFile, JSON.stringify(samples));
  const groups = openGroups(whole, [], model, options);
  const scene = {
    ...{ model, folder: graphFolder, scratch: `${textsFile}-weights`, read: tensorReader(graphFolder), whole, toRemove: 0, samples },
    ...({ sequenceLength: options.sequenceLength, gradientBy: "WEIGHTS", executionProvider: "CPU", tokensPerRun } as const),
    random: (stream: string) => seededRandom(0, stream),
  };
  const [begun, used] = [performance.now(), process.cpuUsage()];
  const { evidence } = await finished(gradientDifferences(scene, groups));
  const { user, system } = process.cpuUsage(used);
  const [peakBytes, peakOwnBytes] = await peak();
  const scores = evidence.map(([norms]) => (norms ?? []).reduce((a, b) => a + b, 0) / pairs);
  const result: PassResult = {
    seconds: (performance.now() - begun) / 1000,
    processorSeconds: (user + system) / 1e6,
    ...{ peakBytes, peakOwnBytes, scores },
  };
  console.log(JSON.stringify(result));
}

const [step, first = "", ...rest] = process.argv.slice(2);
if (step === "register") await register(first, rest[0] as string, rest[1] === "true");
else if (step === "score") await score(JSON.parse(readFileSync(first, "utf8")), Number(rest[0]), Number(rest[1]), rest[2] as string);
