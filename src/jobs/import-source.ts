import { rm } from "node:fs/promises";
import { folderOfUpload } from "../artifacts/upload-folder.ts";
import type { ImportSource } from "../models/import/import-model.ts";
import type { ImportOrigin } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { getUpload, removeUpload } from "../store/uploads.ts";

/** Where models come from that are named by their repository (null: the Hugging Face Hub), and the token that is shown there. */
export interface HubAccess {
  readonly address: string | null;
  readonly token: string | null;
}

export interface OriginServices {
  readonly store: Store;
  readonly dataDirectory: string;
  /** Models are read from under this folder only. */
  readonly modelRoot: string;
  readonly hub: HubAccess;
}

/**
 * Where a process that imports finds the files.
 *
 * @param fetched a folder for what comes from a Hub
 * @throws EspalierError UPLOAD_NOT_FOUND
 */
export async function importSource(
  { store, dataDirectory, modelRoot, hub }: OriginServices,
  from: ImportOrigin,
  fetched: string,
): Promise<ImportSource> {
  if (from.kind === "PATH") return { ...from, modelRoot };
  if (from.kind === "HUB") return { ...from, ...hub, folder: fetched };
  const { files } = await getUpload(store.prisma, from.uploadId);
  return { kind: "UPLOAD", files, folder: folderOfUpload(dataDirectory, from.uploadId) };
}

/** Deletes an upload and what has come of it. Nothing where there is none. */
export async function dropUpload({ store, dataDirectory }: Pick<OriginServices, "store" | "dataDirectory">, id: string): Promise<void> {
  await removeUpload(store.prisma, id);
  await rm(folderOfUpload(dataDirectory, id), { recursive: true, force: true });
}
