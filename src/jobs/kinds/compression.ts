import { openArtifacts } from "../../artifacts/artifacts.ts";
import { requireFiles } from "../../artifacts/model-files.ts";
import { compressionMethodNamed } from "../../compression/methods/index.ts";
import { providerHere } from "../../compute/provider-here.ts";
import { requireCompressible } from "../../rules/compression-rules.ts";
import { tokenizedModel } from "../../rules/tokenized-model.ts";
import {
  compressedFiles,
  compressedSteps,
  compressionStands,
  recordCompressed,
  recordCompressedModel,
  recordCompressionStart,
} from "../../store/compression-runs.ts";
import { removeUnused } from "../../store/models.ts";
import type { KindOfRun } from "../run-kind.ts";
import { storedDataset } from "../stored-dataset.ts";
import { storedModel } from "../stored-model.ts";

/** Gives a model fewer bits or zeros. Products that are given the same are a step: it goes on after the last that is stored. */
export const compression: KindOfRun<"COMPRESSION", "compress"> = {
  description: "The compression of a model: its weights become codes of a few bits, or zeros.",
  role: "PRUNE",
  queue: "compress",
  task: "compress",
  makesModel: true,
  fits: async ({ store }, { modelId, method, options }) => {
    const { model } = await tokenizedModel(store, "input.subject", modelId ?? "");
    await requireCompressible(store.prisma, model, options, compressionMethodNamed(method));
  },
  request: async (services, run, scratch) => ({
    model: await storedModel(services, run.modelId),
    method: run.method,
    // A run ends on the provider that it began on: others may round otherwise.
    options: { ...run.options, executionProvider: run.executionProvider ?? providerHere(services, run.options.executionProvider) },
    dataset: run.datasetId === null ? null : await storedDataset(services, run.datasetId),
    done: await compressedFiles(services.store.prisma, run.id),
    scratch,
  }),
  isPassing: () => false,
  record: async ({ store }, run, event) => {
    if (event.type === "STARTED") {
      const { type: _, ...payload } = event;
      await recordCompressionStart(store, run, payload);
      return false;
    }
    const { type: _, file, ...payload } = event;
    await recordCompressed(store, run, payload, file);
    return true;
  },
  succeed: async ({ store, queue, dataDirectory }, run, result) => {
    const files = await recordCompressedModel(store, run, result, queue.addRun, (confirmed) => requireFiles(dataDirectory, confirmed));
    const artifacts = await openArtifacts(dataDirectory);
    await removeUnused(store, files, (unused) => artifacts.remove(unused));
  },
  begin: async () => {},
  steps: compressedSteps,
  stands: compressionStands,
  outOfMemory: (steps) => ({
    what: `compressing the products of step ${steps + 1}`,
    advice: "let it use fewer samples or shorter sequences, or give it a worker with more memory",
  }),
};
