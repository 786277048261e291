import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { EspalierError } from "../errors.ts";
import { unlessAbsent } from "../unless-absent.ts";
import type { Digest } from "./digests.ts";
import { DirectoryArtifacts } from "./directory.ts";

export interface StoredArtifact {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly modifiedAt: Date;
}

/**
 * Where the files of models live, each under the sha256 of its bytes; the same bytes twice are one artifact. Whoever reads
 * sees whole files only.
 */
export interface Artifacts {
  /** Keeps bytes: those of a file, or some in memory. */
  add(source: string | Uint8Array): Promise<Pick<StoredArtifact, "sha256" | "sizeBytes">>;
  /**
   * Keeps a file that is the server's own: it is read once, and not copied where the file system allows. Nobody may write to it from now on;
   * its old name may go.
   *
   * @param known its digest, for who has read it already
   */
  take(path: string, known?: Digest): Promise<Pick<StoredArtifact, "sha256" | "sizeBytes">>;
  /** A file on this machine with the artifact's bytes, fetched if need be; null if there is no such artifact. Read only. */
  path(sha256: string): Promise<string | null>;
  /** Whether there is such an artifact. */
  has(sha256: string): Promise<boolean>;
  /** Its bytes as they are stored, which only a check of their digest proves right. */
  read(sha256: string): Promise<Readable>;
  /** Forgets it; nothing if there is none. */
  remove(sha256: string): Promise<void>;
  list(): AsyncIterable<StoredArtifact>;
}

/** In the data directory: says that the artifacts lie elsewhere, by an address such as `s3://bucket/prefix`. */
export const addressFile = "artifacts-address";

/**
 * Says in a data directory where its artifacts lie, and closes its folders to others: those of earlier versions were not. To be
 * called before they are opened.
 *
 * @param address `s3://...`, or null for what the directory says already, which is at first itself
 * @throws EspalierError ARTIFACTS_ELSEWHERE if it says otherwise already
 */
export async function settleArtifacts(dataDirectory: string, address: string | null): Promise<void> {
  // As root the embedded PostgreSQL runs as another user, which must get past the data directory.
  await mkdir(dataDirectory, { recursive: true, mode: process.getuid?.() === 0 ? 0o755 : 0o700 });
  for (const folder of ["artifacts", "models", "exports", "corrupt"]) await chmod(join(dataDirectory, folder), 0o700).catch(unlessAbsent);
  if (address === null) return;
  const file = join(dataDirectory, addressFile);
  await writeFile(file, `${address}\n`, { flag: "wx", mode: 0o600 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  const settled = (await readFile(file, "utf8")).trim();
  if (settled === address) return;
  throw new EspalierError(
    "ARTIFACTS_ELSEWHERE",
    `the artifacts of this data directory lie at ${settled}, not at ${address}; if they have been moved, delete ${addressFile} in it`,
    { settled, address },
  );
}

const opened = new Map<string, Promise<Artifacts>>();

/** The artifacts of a data directory: those in it, or, if it says so, those at another address, of which it then keeps copies. */
export function openArtifacts(dataDirectory: string): Promise<Artifacts> {
  const known = opened.get(dataDirectory) ?? open(dataDirectory);
  opened.set(dataDirectory, known);
  return known;
}

async function open(dataDirectory: string): Promise<Artifacts> {
  const local = new DirectoryArtifacts(join(dataDirectory, "artifacts"));
  const address = await readFile(join(dataDirectory, addressFile), "utf8").catch(unlessAbsent);
  // The SDK is large: loaded where it is used only.
  return address === null ? local : (await import("./s3.ts")).openS3(address.trim(), local);
}
