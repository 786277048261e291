import { requireFiles } from "../../artifacts/model-files.ts";
import { cardFacts } from "../../store/card-facts.ts";
import { recordExport } from "../../store/exports.ts";
import { version } from "../../version.ts";
import { type KindOfRun, withoutSteps } from "../run-kind.ts";
import { storedModel } from "../stored-model.ts";

/** Writes a model in a format that others load. Nothing of it is stored before its end: each process begins anew. */
export const exporting: KindOfRun<"EXPORT", "export"> = {
  ...withoutSteps,
  description: "The writing of a model in a format that others load.",
  role: "GENERATE",
  queue: "export",
  task: "export",
  makesModel: false,
  /** The task itself tells what keeps the model from being written so. */
  fits: async () => {},
  request: async (services, { modelId, options }, scratch) => ({
    model: await storedModel(services, modelId),
    options,
    card: await cardFacts(services.store.prisma, modelId ?? "", version),
    scratch,
  }),
  succeed: ({ store, dataDirectory }, run, { exported, peakMemoryBytes }) =>
    recordExport(store, run, exported, peakMemoryBytes, (files) => requireFiles(dataDirectory, files)),
  outOfMemory: () => ({ what: "the export", advice: "give it a worker with more memory" }),
};
