import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, link, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { EspalierError } from "../errors.ts";
import type { ModelFile } from "./types.ts";

const artifactsOf = (dataDirectory: string): string => join(dataDirectory, "artifacts");

/** Where the artifact of that digest lies, or would lie. */
export const artifactPath = (dataDirectory: string, sha256: string): string => join(artifactsOf(dataDirectory), sha256);

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );

/** A file of the store. */
export interface StoredFile {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/**
 * Copies a file into the store under the sha256 of its bytes: hashed while it is copied to a temporary name, synced,
 * renamed. Whoever reads the store sees whole files only; the same bytes twice are one artifact.
 */
export const storeFile = (dataDirectory: string, source: string): Promise<StoredFile> =>
  storeChunks(dataDirectory, createReadStream(source, { highWaterMark: 1 << 20 }));

/** The same for bytes in memory. */
export const storeBytes = (dataDirectory: string, bytes: Uint8Array): Promise<StoredFile> => storeChunks(dataDirectory, [bytes]);

async function storeChunks(dataDirectory: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<StoredFile> {
  await mkdir(artifactsOf(dataDirectory), { recursive: true });
  const temporary = join(artifactsOf(dataDirectory), `.${randomUUID()}`);
  try {
    const hash = createHash("sha256");
    // Read-only: the same bytes lie in the folders of all models that have them.
    const target = await open(temporary, "wx", 0o444);
    let sizeBytes = 0;
    try {
      for await (const chunk of chunks) {
        hash.update(chunk);
        sizeBytes += chunk.length;
        await target.writeFile(chunk);
      }
      await target.sync();
    } finally {
      await target.close();
    }
    const sha256 = hash.digest("hex");
    const artifact = artifactPath(dataDirectory, sha256);
    // What is there already stays, for model folders are links to it.
    if (!(await exists(artifact))) await rename(temporary, artifact);
    return { sha256, sizeBytes };
  } finally {
    await rm(temporary, { force: true });
  }
}

/** A model's own address: sha256 over the sorted paths and digests of its files. */
export function digestOf(files: readonly ModelFile[]): string {
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
  const folder = join(dataDirectory, "models", digest);
  if (await exists(folder)) return folder;
  const temporary = join(dataDirectory, "models", `.${randomUUID()}`);
  try {
    for (const file of files) {
      const target = join(temporary, file.path);
      await mkdir(dirname(target), { recursive: true });
      await linkOrCopy(artifactPath(dataDirectory, file.sha256), target, file);
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

async function linkOrCopy(artifact: string, target: string, file: ModelFile): Promise<void> {
  try {
    await link(artifact, target).catch((error: NodeJS.ErrnoException) => {
      // File systems without hard links.
      if (error.code === "EPERM" || error.code === "EXDEV" || error.code === "ENOTSUP") return copyFile(artifact, target);
      throw error;
    });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    throw new EspalierError(
      "ARTIFACT_MISSING",
      `the file ${file.path} (sha256 ${file.sha256}) is not in the artifact store`,
      { path: file.path, sha256: file.sha256 },
      { cause },
    );
  }
}
