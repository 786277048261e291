import type { InspectedModel } from "../../src/models/types.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { defaultRecoveryOptions } from "../../src/recovery/options.ts";
import { createEvaluation } from "../../src/store/evaluations.ts";
import { insertModel, type ModelRecord } from "../../src/store/models.ts";
import { createPruningRun, type PruningRunRecord, recordIteration, recordPruned, recordStart } from "../../src/store/pruning-runs.ts";
import { createRecoveryRun, type RecoveryRunRecord, recordHealed, recordStep, recordTrainingStart } from "../../src/store/recovery-runs.ts";
import { claimRun, recordFailure, succeedRun } from "../../src/store/run-progress.ts";
import type { Store } from "../../src/store/store.ts";
import { inspected, newDataset, sha256 } from "../support/records.ts";

/** A name that a page must show as it is: markup, and writing from right to left. */
export const hostileName = '<img src=x onerror="document.title=1"> \u202Eنموذج';

const layers = 12;
const parametersOf = { EMBEDDING: 20_000_000, HEAD: 196_000, CHANNEL: 1728 } as const;

/** A model of 12 layers with 9 heads and 1,536 channels each, of which some are gone. */
function described(name: string, parameterCount: number): InspectedModel {
  const base = inspected(name, parameterCount);
  return {
    ...base,
    sizeBytes: parameterCount * 4,
    architecture: { ...base.architecture, layers, hiddenSize: 576, vocabularySize: 49_152, contextLength: 8192 },
    operators: { MatMul: 14 * layers, Add: 4 * layers, Mul: 8 * layers, Softmax: layers, SimplifiedLayerNormalization: 2 * layers + 1 },
    structures: Array.from({ length: layers }, (_, layer) => [
      { kind: "LAYER" as const, index: layer, count: 1, layer, parameters: [`layer.${layer}`], parameterCount: 3_540_000 },
      {
        kind: "HEAD" as const,
        index: layer * 9,
        count: 9,
        layer,
        parameters: [`layer.${layer}.attention`],
        parameterCount: parametersOf.HEAD,
      },
      {
        kind: "CHANNEL" as const,
        index: layer * 1536,
        count: 1536,
        layer,
        parameters: [`layer.${layer}.mlp`],
        parameterCount: parametersOf.CHANNEL,
      },
    ]).flat(),
  };
}

const enqueueNothing = async (): Promise<void> => {};

export interface Seeded {
  readonly root: ModelRecord;
  /** By its name. */
  readonly models: ReadonlyMap<string, ModelRecord>;
  readonly failedRunId: string;
  /** A pruning run that has gone three iterations far and goes on as the test says. */
  readonly running: PruningRunRecord;
}

/** A family as it comes of some days of work: pruned, healed and measured models, runs that failed, wait and go on. */
export async function seed(store: Store): Promise<Seeded> {
  const { id: datasetId } = await newDataset(store);
  const measuredOn = await newDataset(store, "another text");
  const models = new Map<string, ModelRecord>();
  const keep = (model: ModelRecord): ModelRecord => {
    models.set(model.name, model);
    return model;
  };
  const named = async (id: string, name: string): Promise<ModelRecord> => {
    const row = await store.prisma.model.update({ where: { id }, data: { name } });
    return keep({ ...row, sizeBytes: Number(row.sizeBytes), parameterCount: Number(row.parameterCount) } as unknown as ModelRecord);
  };

  async function iterate(run: PruningRunRecord, from: number, to: number, iterations: number): Promise<void> {
    await recordStart(store, run, { executionProvider: "CPU", parameterCount: from, targetParameterCount: to, candidates: 108 });
    for (let iteration = 0; iteration < iterations; iteration++) {
      const parameterCount = Math.round(from + ((to - from) * (iteration + 1)) / Math.max(iterations, 5));
      const indexes = Array.from({ length: 108 - 2 * iteration }, (_, i) => i);
      // What goes has the lowest.
      const scores = indexes.map((i) =>
        i >= 106 - 2 * iteration
          ? 0.0021 + (iteration + (107 - 2 * iteration - i) / 5) / 1000
          : 0.01 + Math.abs(Math.sin(i * 7 + iteration)) * 0.2,
      );
      await recordIteration(store, run, {
        type: "ITERATION",
        iteration,
        scores: [{ kind: "HEAD", indexes, scores }],
        removed: [
          { kind: "HEAD", index: 107 - 2 * iteration, score: 0.0021 + iteration / 1000, parameterCount: parametersOf.HEAD },
          { kind: "HEAD", index: 106 - 2 * iteration, score: 0.0021 + (iteration + 0.2) / 1000, parameterCount: parametersOf.HEAD },
        ],
        parameterCount,
        removedRatio: 1 - parameterCount / from,
        loss: 2.9 + iteration * 0.04,
        perturbedLoss: 7.1 + iteration * 0.02,
        durationMs: 2100,
        estimatedMsLeft: (iterations - iteration - 1) * 2100,
      });
    }
  }
  async function pruned(parent: ModelRecord, name: string, method: string, ratio: number): Promise<ModelRecord> {
    const asked = await createPruningRun(
      store,
      { modelId: parent.id, method, options: { ...defaultPruningOptions, targetRatio: ratio }, datasetId },
      enqueueNothing,
    );
    const run = (await claimRun(store, asked.id)) as PruningRunRecord;
    const left = Math.round(parent.parameterCount * (1 - ratio));
    await iterate(run, parent.parameterCount, left, 5);
    await recordPruned(store, run, described(name, left), 812_000_000, enqueueNothing);
    const { resultModelId } = await store.prisma.run.findUniqueOrThrow({ where: { id: run.id } });
    return named(resultModelId as string, name);
  }
  async function healed(parent: ModelRecord, name: string): Promise<ModelRecord> {
    const asked = await createRecoveryRun(
      store,
      { modelId: parent.id, method: "LORA", options: defaultRecoveryOptions, datasetId },
      enqueueNothing,
    );
    const run = (await claimRun(store, asked.id)) as RecoveryRunRecord;
    await recordTrainingStart(store, run, {
      executionProvider: "CPU",
      trainedParameterCount: 4_884_480,
      steps: 120,
      heldBackLoss: 4.1,
      teacherLoss: 3.1,
    });
    for (let step = 10; step <= 120; step += 10)
      await recordStep(store, run, "STEP", {
        step,
        steps: 120,
        loss: 0.6 / Math.sqrt(step / 10) + 0.1,
        gradientNorm: 1.2,
        learningRate: 2e-4,
        tokensPerSecond: 940,
        estimatedMsLeft: (120 - step) * 500,
      });
    const summary = {
      bestStep: 120,
      steps: 120,
      trainedParameterCount: 4_884_480,
      trainedTokens: 61_440,
      startLoss: 4.1,
      loss: 3.5,
      teacherLoss: 3.1,
      wonBackRatio: 0.6,
    };
    await recordHealed(
      store,
      run,
      { healed: described(name, parent.parameterCount), summary, peakMemoryBytes: 1_900_000_000 },
      enqueueNothing,
    );
    const { resultModelId } = await store.prisma.run.findUniqueOrThrow({ where: { id: run.id } });
    return named(resultModelId as string, name);
  }
  async function measured(model: ModelRecord, perplexity: number, decodeTokensPerSecond: number): Promise<void> {
    const settings = {
      sequenceLength: 256,
      stride: 256,
      maxTokens: null,
      maxItems: null,
      measureSpeed: true,
      executionProvider: "CPU",
    } as const;
    const asked = await createEvaluation(store, { modelId: model.id, dataset: measuredOn, settings, overlapRatio: 0 }, enqueueNothing);
    const run = await claimRun(store, asked.id);
    const result = {
      perplexity,
      perplexityStandardError: perplexity * 0.012,
      nextTokenAccuracy: 1 / (1 + perplexity / 20),
      decodeTokensPerSecond,
      tokenCount: 12_800,
      durationMs: 5200,
      peakMemoryBytes: 700_000_000,
    };
    await store.prisma.run.update({
      where: { id: asked.id },
      data: { comparisonKey: sha256("perplexity of another text"), startedAt: new Date() },
    });
    if (run) await succeedRun(store, run, enqueueNothing, async () => ({ columns: { result }, event: {} }));
  }

  const root = keep(await store.prisma.$transaction((tx) => insertModel(tx, described("smol", 134_515_008), "smol", null)));
  await measured(root, 24.3, 41);
  const pip = await pruned(root, "smol-pip-20", "PIP", 0.2);
  await measured(pip, 57.9, 49);
  const flap = await pruned(root, "smol-flap-20", "FLAP", 0.2);
  await measured(flap, 66.8, 48);
  await measured(await pruned(root, "smol-random-20", "RANDOM", 0.2), 402, 48);
  const lora = await healed(pip, "smol-pip-20-lora");
  await measured(lora, 36.2, 49);
  const deeper = await pruned(lora, "smol-pip-20-lora-pip-30", "PIP", 0.3);
  await measured(deeper, 88.5, 61);
  const small = await healed(deeper, "smol-small");
  await measured(small, 51.4, 61);
  await measured(await healed(flap, "smol-flap-20-lora"), 39.9, 48);
  await pruned(small, hostileName, "WANDA_SP", 0.1);

  const failed = await createPruningRun(
    store,
    { modelId: root.id, method: "PIP", options: { ...defaultPruningOptions, targetRatio: 0.9 }, datasetId },
    enqueueNothing,
  );
  await claimRun(store, failed.id);
  await recordFailure(store, failed.id, {
    code: "TARGET_UNREACHABLE",
    message: "nothing is left to remove: 41.2% of the parameters can go, 90% were asked for",
  });
  const asked = await createPruningRun(
    store,
    { modelId: root.id, method: "PIP", options: { ...defaultPruningOptions, structureKinds: ["HEAD"] }, datasetId },
    enqueueNothing,
  );
  const running = (await claimRun(store, asked.id)) as PruningRunRecord;
  await iterate(running, root.parameterCount, Math.round(root.parameterCount * 0.8), 3);
  await createPruningRun(store, { modelId: flap.id, method: "FLAP", options: defaultPruningOptions, datasetId }, enqueueNothing);
  await createEvaluation(
    store,
    {
      modelId: pip.id,
      dataset: measuredOn,
      settings: { sequenceLength: 128, stride: 128, maxTokens: null, maxItems: null, measureSpeed: true, executionProvider: "CPU" },
      overlapRatio: 0,
    },
    enqueueNothing,
  );
  return { root, models, failedRunId: failed.id, running };
}
