import { rm } from "node:fs/promises";
import { join } from "node:path";
import { requireFiles } from "../../artifacts/model-files.ts";
import { recordImported } from "../../store/imports.ts";
import { recordProgress } from "../../store/run-progress.ts";
import { dropUpload, importSource } from "../import-source.ts";
import { type KindOfRun, withoutSteps } from "../run-kind.ts";

/** Where what a run fetches lies until it is a model: one that is resumed goes on with it. */
const fetchedBy = (dataDirectory: string, runId: string): string => join(dataDirectory, "imports", runId);

/** Makes a model of files that lie on the server, that a client has sent, or that a Hub has. What has been fetched is not fetched again. */
export const importing: KindOfRun<"IMPORT", "import"> = {
  ...withoutSteps,
  description: "The making of a model from files: of a folder, an upload or a Hub.",
  role: "PRUNE",
  queue: "import",
  task: "import",
  makesModel: true,
  /** It works on no model. */
  fits: async () => {},
  async request(services, { id, options }, scratch) {
    const { dataDirectory } = services;
    return { dataDirectory, source: await importSource(services, options.from, fetchedBy(dataDirectory, id)), scratch };
  },
  async record({ store }, run, progress) {
    await recordProgress(store, run, progress);
    return false;
  },
  async succeed({ store, queue, dataDirectory }, run, model) {
    await recordImported(store, run, model, queue.addRun, (files) => requireFiles(dataDirectory, files));
    await rm(fetchedBy(dataDirectory, run.id), { recursive: true, force: true });
    const { from } = run.options;
    if (from.kind === "UPLOAD") await dropUpload({ store, dataDirectory }, from.uploadId);
  },
  outOfMemory: () => ({ what: "the import", advice: "give it a worker with more memory" }),
};
