import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { finished } from "../../../src/finished.ts";
import { graphFile } from "../../../src/inference/language-model.ts";
import { readModel } from "../../../src/onnx/read-model.ts";
import { tensorReader } from "../../../src/onnx/read-tensor.ts";
import type { Located } from "../../../src/recovery/forward.ts";
import { trainedMethods } from "../../../src/recovery/methods/index.ts";
import type { TrainedMethod } from "../../../src/recovery/methods/method.ts";
import { defaultRecoveryOptions, type RecoveryOptions } from "../../../src/recovery/options.ts";
import { recover } from "../../../src/recovery/recover.ts";
import type { TextBatch } from "../../../src/recovery/texts.ts";
import { Trainer } from "../../../src/recovery/trainer.ts";
import { wholeOfModel } from "../../../src/recovery/whole.ts";
import type { ConcreteProvider } from "../../../src/runtime/providers.ts";
import { discover } from "../../../src/structures/discover.ts";
import { removeStructures } from "../../../src/structures/divide.ts";
import { loadDataset } from "../../../src/text/datasets.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";
import { withGpuMemory } from "./gpu.ts";
import { placementOf, placementText } from "./placement.ts";
import { type Report, seconds } from "./report.ts";
import { runOnZeros } from "./run-on-zeros.ts";
import { wholeTrainingGraph } from "./training-graph.ts";

/** A model, and what is left of it without each fifth layer. */
interface Pair {
  readonly student: Located;
  readonly teacher: Located;
}

async function pairOf(modelFolder: string): Promise<Pair> {
  const path = await graphFile(modelFolder);
  const folder = dirname(path);
  const model = await readModel(path, "IN_FILE");
  const read = tensorReader(folder);
  const layers = discover(model, read).structures.filter((s) => s.kind === "LAYER");
  const removed = layers.filter((_, i) => i % 5 === 2);
  return { teacher: { model, folder }, student: { model: await removeStructures(model, removed, read), folder } };
}

/** As many texts, and as long, as PyTorch's script takes. */
const [B, T] = [8, 128];
const options: RecoveryOptions = { ...defaultRecoveryOptions, batchSize: B, sequenceLength: T };
const ids = (from: number) =>
  Array.from({ length: B }, (_, s) => Array.from({ length: T }, (_, t) => (11 + 37 * s + 101 * (t + from)) % 90));
const batch: TextBatch = { ids: ids(0), targets: ids(1), weights: new Float32Array(B * T).fill(1 / (B * T)), tokens: B * T };

/** The gradient of one batch by all that a method trains, and the median time of a step. */
async function stepOn(executionProvider: ConcreteProvider, { student, teacher }: Pair, method: TrainedMethod) {
  const whole = await wholeOfModel(student.model, student.folder, method.divides ?? false);
  const subject = { ...student, whole, read: tensorReader(student.folder), options };
  const trainer = await Trainer.open({ subject, teacher, method, options, executionProvider });
  try {
    const loss = await trainer.addGradient(batch);
    const gradients = trainer.vectors.gradients.slice();
    const times: number[] = [];
    for (let step = 1; step <= 5; step++) {
      const begun = performance.now();
      trainer.vectors.gradients.fill(0);
      await trainer.addGradient(batch);
      await trainer.step({ step, learningRate: 1e-5, weightDecay: 0, gradientScale: 1 });
      times.push(performance.now() - begun);
    }
    return { loss, gradients, time: times.sort((a, b) => a - b)[2] as number };
  } finally {
    await trainer.close();
  }
}

const norm = (values: Float32Array): number => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));

/** How far two vectors lie apart, by the length of the first. */
const turned = (expected: Float32Array, found: Float32Array): number =>
  norm(expected.map((v, i) => v - (found[i] as number))) / norm(expected);

async function healOn(executionProvider: ConcreteProvider, { student, teacher }: Pair, folder: string, method: TrainedMethod) {
  const scratch = mkdtempSync(join(tmpdir(), "espalier-cuda-"));
  const [tokenizer, { documents }] = await Promise.all([loadTokenizer(folder), loadDataset({ name: "literature-train" })]);
  const begun = performance.now();
  try {
    const job = { subject: student, teacher, tokenizer, documents, method, checkpoint: null, scratch };
    const { summary } = await finished(recover({ ...job, options: { ...defaultRecoveryOptions, executionProvider } }));
    return { summary, time: performance.now() - begun };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const percent = (ratio: number | null): string => (ratio === null ? "" : `${(100 * ratio).toFixed(1)}%`);

/** What each way of healing works out for a batch, and how long a step of it takes, on the CPU and on CUDA; then whole runs of the first model. */
export async function recoveries(report: Report, models: readonly string[]): Promise<void> {
  report.heading(
    ...["a step of 8 texts of 128 tokens", "loss", "gradients", "CPU, s", "CUDA, s", "GPU memory, MiB", "nodes: on the GPU, on the CPU"],
  );
  for (const folder of models) {
    const pair = await pairOf(folder);
    for (const method of trainedMethods)
      await report.row(`${basename(folder)}, ${method.name}`, async () => {
        const cpu = await stepOn("CPU", pair, method);
        const watched = await withGpuMemory(() => stepOn("CUDA", pair, method));
        const cuda = watched.result;
        const { graph } = await wholeTrainingGraph(pair.student, method, 2, 16);
        const { model, folder: own } = pair.student;
        const placement = await placementOf((native) => runOnZeros(graph, model, own, { executionProvider: "CUDA", native }));
        return [
          report.difference(Math.abs(cuda.loss / cpu.loss - 1)),
          report.difference(turned(cpu.gradients, cuda.gradients)),
          ...[seconds(cpu.time), seconds(cuda.time), watched.peakMiB, placementText(placement)],
        ];
      });
  }

  const [bundled] = models.filter((folder) => existsSync(join(folder, "tokenizer.json")));
  if (!bundled) return;
  const pair = await pairOf(bundled);
  report.heading(`${basename(bundled)} healed`, "steps", "won back on the CPU", "on CUDA", "CPU, s", "CUDA, s");
  for (const method of trainedMethods)
    await report.row(method.name, async () => {
      const cpu = await healOn("CPU", pair, bundled, method);
      const cuda = await healOn("CUDA", pair, bundled, method);
      return [
        cuda.summary.steps,
        ...[percent(cpu.summary.wonBackRatio), percent(cuda.summary.wonBackRatio), seconds(cpu.time), seconds(cuda.time)],
      ];
    });
}
