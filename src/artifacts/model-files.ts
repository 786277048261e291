import { createHash, randomUUID } from "node:crypto";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { EspalierError } from "../errors.ts";
import { unlessAbsent } from "../unless-absent.ts";
import { openArtifacts } from "./artifacts.ts";
import type { Digest } from "./digests.ts";
import { linkOrCopy } from "./link-or-copy.ts";

/** One file of a model folder; its bytes are the artifact of that sha256. */
export interface ModelFile {
  /** Relative to the model's folder, with forward slashes, e.g. `onnx/model.onnx`. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
}

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(unlessAbsent)) !== null;

/** Copies a file, or bytes in memory, into the artifact store under the sha256 of the bytes. */
export const storeFile = async (dataDirectory: string, source: string | Uint8Array): Promise<{ sha256: string; sizeBytes: number }> =>
  (await openArtifacts(dataDirectory)).add(source);

/** Keeps a file of the server's own in the artifact store, without a copy where it can: nobody may write to it from then on. */
export const takeFile = async (dataDirectory: string, path: string, known?: Digest): Promise<Digest> =>
  (await openArtifacts(dataDirectory)).take(path, known);

/** Where a data directory's folder of a model lies, or would lie. */
export const folderOf = (dataDirectory: string, digest: string): string => join(dataDirectory, "models", digest);

/**
 * Checks that files are in the store.
 *
 * @throws EspalierError ARTIFACT_MISSING
 */
export async function requireFiles(dataDirectory: string, files: readonly ModelFile[]): Promise<void> {
  const artifacts = await openArtifacts(dataDirectory);
  for (const file of files) if (!(await artifacts.has(file.sha256))) throw missing(file);
}

/** A model's own address: sha256 over the sorted paths and digests of its files. */
export function modelDigest(files: readonly ModelFile[]): string {
  const lines = files.map((f) => `${f.path}\0${f.sha256}\n`).sort();
  return createHash("sha256").update(lines.join("")).digest("hex");
}

/**
 * A folder in which the model's files lie under their own names, so that ONNX Runtime finds external data beside the
 * graph: hard links to the artifacts, made once.
 *
 * @returns the folder's path
 * @throws EspalierError ARTIFACT_MISSING if a file is not in the store
 */
export async function materialise(model: {
  readonly dataDirectory: string;
  readonly digest: string;
  readonly files: readonly ModelFile[];
}): Promise<string> {
  const { dataDirectory, digest, files } = model;
  const folder = folderOf(dataDirectory, digest);
  if (await exists(folder)) return folder;
  const temporary = join(dataDirectory, "models", `.${randomUUID()}`);
  const artifacts = await openArtifacts(dataDirectory);
  try {
    for (const file of files) {
      const target = join(temporary, file.path);
      await mkdir(dirname(target), { recursive: true, mode: 0o700 });
      const artifact = await artifacts.path(file.sha256);
      if (artifact === null) throw missing(file);
      await linkOrCopy(artifact, target);
    }
    await rename(temporary, folder).catch(async (error: NodeJS.ErrnoException) => {
      // Another process was faster; what it made is the same.
      if (!(await exists(folder))) throw error;
    });
    return folder;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

const missing = ({ path, sha256 }: ModelFile) =>
  new EspalierError("ARTIFACT_MISSING", `the file ${path} (sha256 ${sha256}) is not in the artifact store`, { path, sha256 });
