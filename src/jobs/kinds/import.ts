import { rm } from "node:fs/promises";
import { join } from "node:path";
import { requireFiles } from "../../artifacts/model-files.ts";
import { folderOfUpload } from "../../artifacts/upload-folder.ts";
import type { ImportSource } from "../../models/import/import-model.ts";
import { type ImportRunRecord, recordImported } from "../../store/imports.ts";
import { recordProgress } from "../../store/run-progress.ts";
import { getUpload, removeUpload } from "../../store/uploads.ts";
import { type KindOfRun, withoutSteps } from "../run-kind.ts";
import type { JobServices } from "../worker.ts";

/** Where what a run fetches lies until it is a model: one that is resumed goes on with it. */
const fetchedBy = (dataDirectory: string, runId: string): string => join(dataDirectory, "imports", runId);

async function sourceOf(
  { store, dataDirectory, modelRoot, hub }: JobServices,
  { id, options: { from } }: ImportRunRecord,
): Promise<ImportSource> {
  if (from.kind === "PATH") return { ...from, modelRoot };
  if (from.kind === "HUB") return { ...from, ...hub, folder: fetchedBy(dataDirectory, id) };
  const { files } = await getUpload(store.prisma, from.uploadId);
  return { kind: "UPLOAD", files, folder: folderOfUpload(dataDirectory, from.uploadId) };
}

/** Makes a model of files that lie on the server, that a client has sent, or that a Hub has. What has been fetched is not fetched again. */
export const importing: KindOfRun<"IMPORT", "import"> = {
  ...withoutSteps,
  description: "The making of a model from files: of a folder, an upload or a Hub.",
  role: "PRUNE",
  queue: "import",
  task: "import",
  makesModel: true,
  request: async (services, run, scratch) => ({ dataDirectory: services.dataDirectory, source: await sourceOf(services, run), scratch }),
  async record({ store }, run, progress) {
    await recordProgress(store, run, progress);
    return false;
  },
  async succeed({ store, queue, dataDirectory }, run, model) {
    await recordImported(store, run, model, queue.addRun, (files) => requireFiles(dataDirectory, files));
    await rm(fetchedBy(dataDirectory, run.id), { recursive: true, force: true });
    const { from } = run.options;
    if (from.kind !== "UPLOAD") return;
    await removeUpload(store.prisma, from.uploadId);
    await rm(folderOfUpload(dataDirectory, from.uploadId), { recursive: true, force: true });
  },
  outOfMemory: () => ({ what: "the import", advice: "give it a worker with more memory" }),
};
