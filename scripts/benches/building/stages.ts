import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { squaredNorms } from "../../../src/autodiff/ghost.ts";
import { lower } from "../../../src/autodiff/lower.ts";
import { buildScoreGraph } from "../../../src/autodiff/score-graph.ts";
import { finished } from "../../../src/finished.ts";
import { exportPruned } from "../../../src/models/export.ts";
import { decode } from "../../../src/onnx/decode.ts";
import type { Model } from "../../../src/onnx/ir.ts";
import { tensorReader } from "../../../src/onnx/read-tensor.ts";
import type { RemovedStructure } from "../../../src/pruning/events.ts";
import { rowsPerRun } from "../../../src/pruning/evidence/batch.ts";
import type { Scene } from "../../../src/pruning/evidence/evidence.ts";
import { scored } from "../../../src/pruning/evidence/gatherers.ts";
import { lastProductsOf } from "../../../src/pruning/evidence/last-products.ts";
import { openScoring } from "../../../src/pruning/evidence/open-scoring.ts";
import { residualStreamOf } from "../../../src/pruning/evidence/residual-stream.ts";
import { requestsOf } from "../../../src/pruning/evidence/slices.ts";
import { pip } from "../../../src/pruning/methods/pip.ts";
import { openGroups } from "../../../src/pruning/open-groups.ts";
import { defaultPruningOptions, type PruningOptions } from "../../../src/pruning/options.ts";
import { normalized, Selection, tables, takeLowest } from "../../../src/pruning/select.ts";
import { seededRandom } from "../../../src/random.ts";
import { specialise } from "../../../src/runtime/specialise.ts";
import { bindingOf } from "../../../src/signature/binding.ts";
import { discover } from "../../../src/structures/discover.ts";
import { divide, removeStructures } from "../../../src/structures/divide.ts";
import { calibrationSamples, views } from "../../../src/text/calibration.ts";
import { loadDataset } from "../../../src/text/datasets.ts";
import { loadTokenizer } from "../../../src/text/tokenizer.ts";

/** Processor seconds of each: what other work on the machine takes does not count. */
export type Stages = Readonly<Record<string, number>>;

const options: PruningOptions = {
  ...defaultPruningOptions,
  structureKinds: ["HEAD", "CHANNEL"],
  samples: 2,
  sequenceLength: 16,
  gradientBy: "WEIGHTS",
  executionProvider: "CPU",
};

/** One iteration by heads and channels, stage by stage, that takes half of them; then a removal after another. */
export async function stagesOf(folder: string, bytes: Uint8Array): Promise<Stages> {
  const stages: Record<string, number> = {};
  const timed = async <T>(name: string, work: () => T | Promise<T>): Promise<T> => {
    const begun = process.cpuUsage();
    const result = await work();
    const { user, system } = process.cpuUsage(begun);
    stages[name] = (stages[name] ?? 0) + (user + system) / 1e6;
    return result;
  };
  const read = tensorReader(folder);
  const tokenizer = await loadTokenizer(fileURLToPath(new URL("../../../models/ahab", import.meta.url)));
  const { documents } = await loadDataset({ name: "literature-train" });

  const model = await timed("decode", () => decode(bytes));
  const found = await timed("discover", () => discover(model, read));
  const divided = await timed("divide", () => divide(model, found.anatomy, found.parameters));
  const whole = { ...found, divided };
  const groups = await timed("list what may go", () => openGroups(whole, [], model, options));

  const texts = calibrationSamples(tokenizer, documents, options);
  const scratch = await mkdtemp(join(tmpdir(), "espalier-building-"));
  const scene: Scene = {
    ...{ model, folder, scratch: join(scratch, "weights"), read, whole, toRemove: 0, masks: null },
    ...{ samples: texts.map((text, i) => views(tokenizer, text, options, i, 0)), sequenceLength: options.sequenceLength },
    ...{ gradientBy: options.gradientBy, executionProvider: "CPU", random: (stream) => seededRandom(0, stream) },
  };
  try {
    await building(scene, timed);
    const { groups: scores } = await timed("score, all of it", () => finished(scored(pip, scene, groups)));
    const chosen = await timed("rank and choose", () => {
      const ranked = normalized(scores, "SQRT_PARAMETER_COUNT");
      const selection = new Selection(Number.POSITIVE_INFINITY, found.parameterCount / 3, () => true);
      takeLowest(selection, ranked);
      tables(ranked);
      return selection.taken;
    });
    const half = chosen.slice(0, chosen.length / 2);
    const without = (ids: readonly RemovedStructure[]): Promise<Model> => removeStructures(model, ids, read, whole);
    await timed("remove", () => without(half));
    const pruned = await timed("remove, the second time", () => without(chosen));
    await timed("list what may go, the second time", () => openGroups(whole, chosen, pruned, options));
    const destination = join(scratch, "child");
    const files = ["model.onnx", "model.onnx_data"].map((path) => ({ path }));
    await timed("export", () => exportPruned({ model, folder, files, removed: chosen, known: { whole, pruned }, destination }));
  } finally {
    await rm(scratch, { recursive: true });
  }
  return stages;

  async function building(scene: Scene, timed: <T>(name: string, work: () => T | Promise<T>) => Promise<T>): Promise<void> {
    const stream = await timed("find the residual stream", () => residualStreamOf(scene, groups));
    const now = stream.giving([]);
    const T = scene.sequenceLength;
    const S = Math.min(scene.samples.length, rowsPerRun(2 * T));
    const binding = bindingOf(now, 2 * S, T, [...whole.parameters.keys()]);
    const special = await timed("specialise", () => specialise(now, binding, [whole.anatomy.logits]));
    const typed = await timed("lower", () => lower(special));
    await timed("find last products", () => lastProductsOf(typed, groups));
    const requests = requestsOf(groups);
    const plan = await timed("build the score graph", () => buildScoreGraph(typed, whole.anatomy.logits, requests, squaredNorms, 2));
    const session = await timed("open", () => openScoring(scene, now, plan.graph));
    await session.close();
  }
}
