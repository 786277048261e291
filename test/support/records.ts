import { createHash } from "node:crypto";
import type { InspectedModel } from "../../src/models/types.ts";
import { defaultPruningOptions } from "../../src/pruning/options.ts";
import { type DatasetRecord, registerDataset } from "../../src/store/datasets.ts";
import { insertModel, type ModelRecord } from "../../src/store/models.ts";
import { createPruningRun, type PruningRunRecord } from "../../src/store/pruning-runs.ts";
import { claimRun } from "../../src/store/run-progress.ts";
import type { Store } from "../../src/store/store.ts";

export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

/** What inspection says of a small model; models of different names have different bytes. */
export function inspected(name: string, parameterCount = 1000): InspectedModel {
  return {
    digest: sha256(`model ${name}`),
    files: [
      { path: "config.json", sha256: sha256("the same configuration"), sizeBytes: 20 },
      { path: "onnx/model.onnx", sha256: sha256(`graph ${name}`), sizeBytes: 5_000_000_000 },
      { path: "tokenizer.json", sha256: sha256("the same tokenizer"), sizeBytes: 30 },
    ],
    sizeBytes: 5_000_000_000,
    parameterCount,
    opset: 21,
    operators: { MatMul: 14, Add: 4 },
    architecture: {
      task: "CAUSAL_LM",
      layers: 2,
      hiddenSize: 8,
      vocabularySize: 64,
      cache: [{ heads: 2, headWidth: 4 }],
      contextLength: null,
      dataType: "float32",
    },
    pruningObstacle: null,
    notes: [],
    structures: [0, 1].flatMap((index) =>
      (["LAYER", "MLP"] as const).map((kind) => ({
        kind,
        index,
        count: 1,
        layer: index,
        parameters: [`${kind}.${index}.weight`],
        parameterCount: 100,
      })),
    ),
  };
}

export function newModel(store: Store, name: string, parentId: string | null = null): Promise<ModelRecord> {
  return store.prisma.$transaction((tx) => insertModel(tx, inspected(name), name, parentId));
}

/** A dataset in the database; its records are nowhere. */
export const newDataset = (store: Store, name = "a text"): Promise<DatasetRecord> =>
  registerDataset(store, { name: null, description: "", digest: sha256(`dataset ${name}`), form: "TEXT", recordCount: 1, sizeBytes: 6 });

/** A run in the database that no queue knows of. */
export async function newRun(store: Store): Promise<PruningRunRecord> {
  const { id: modelId } = await newModel(store, "base");
  const { id: datasetId } = await newDataset(store);
  return createPruningRun(store, { modelId, method: "PIP", options: defaultPruningOptions, datasetId }, async () => {});
}

/** Takes a pruning run up, as a worker does; null if it is over. */
export async function claimPruningRun(store: Store, id: string): Promise<PruningRunRecord | null> {
  const run = await claimRun(store, id);
  if (run && run.kind !== "PRUNING") throw new Error(`${id} is no pruning run`);
  return run;
}

/** An evaluation of windows of 8 tokens. */
export const smallEvaluation = {
  sequenceLength: 8,
  stride: 8,
  maxTokens: null,
  maxItems: null,
  measureSpeed: false,
  executionProvider: "CPU",
} as const;
