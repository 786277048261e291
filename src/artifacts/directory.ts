import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { link, mkdir, open, readdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { sha256OfStream } from "../sha256-of-stream.ts";
import { unlessAbsent } from "../unless-absent.ts";
import type { Artifacts, StoredArtifact } from "./artifacts.ts";
import type { Digest } from "./digests.ts";
import { cannotLink } from "./link-or-copy.ts";

const digest = /^[0-9a-f]{64}$/;

/** Artifacts as files of a folder, which all processes of a machine (or of a network file system) can share. */
export class DirectoryArtifacts implements Artifacts {
  constructor(readonly folder: string) {}

  /** Where the artifact lies, or would lie. */
  at(sha256: string): string {
    return join(this.folder, sha256);
  }

  add(source: string | Uint8Array): Promise<{ sha256: string; sizeBytes: number }> {
    return this.keep(typeof source === "string" ? createReadStream(source, { highWaterMark: 1 << 20 }) : Readable.from([source]));
  }

  /** Hashes the bytes while it writes them to a temporary name, syncs, renames. With a sha256, bytes of another are not kept. */
  async keep(bytes: Readable, expected?: string): Promise<{ sha256: string; sizeBytes: number }> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const temporary = join(this.folder, `.${randomUUID()}`);
    try {
      const hash = createHash("sha256");
      // Read-only: the same bytes lie in the folders of all models that have them.
      const target = await open(temporary, "wx", 0o400);
      let sizeBytes = 0;
      try {
        for await (const chunk of bytes) {
          hash.update(chunk as Buffer);
          sizeBytes += (chunk as Buffer).length;
          await target.writeFile(chunk as Buffer);
        }
        await target.sync();
      } finally {
        await target.close();
      }
      const sha256 = hash.digest("hex");
      if (expected !== undefined && sha256 !== expected) return { sha256, sizeBytes };
      const artifact = this.at(sha256);
      // What is there already stays, for model folders are links to it. Its time says that somebody counts on it.
      if (await this.has(sha256)) await utimes(artifact, new Date(), new Date());
      else {
        await rename(temporary, artifact);
        await this.syncFolder();
      }
      return { sha256, sizeBytes };
    } finally {
      await rm(temporary, { force: true });
    }
  }

  /** Hashes a file where it lies, unless that is known, syncs it, and gives it its artifact's name. */
  async take(path: string, known?: Digest): Promise<Digest> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const file = await open(path, "r");
    try {
      const { sha256, sizeBytes } = known ?? (await sha256OfStream(file.createReadStream({ highWaterMark: 1 << 20, autoClose: false })));
      if (await this.has(sha256)) await utimes(this.at(sha256), new Date(), new Date());
      else {
        await file.chmod(0o400);
        await file.sync();
        const isTaken = await link(path, this.at(sha256)).then(
          () => true,
          (error: NodeJS.ErrnoException) => {
            // Another process was faster.
            if (error.code === "EEXIST") return true;
            if (cannotLink(error)) return false;
            throw error;
          },
        );
        if (!isTaken) return await this.add(path);
        await this.syncFolder();
      }
      return { sha256, sizeBytes };
    } finally {
      await file.close();
    }
  }

  async path(sha256: string): Promise<string | null> {
    return (await this.has(sha256)) ? this.at(sha256) : null;
  }

  async has(sha256: string): Promise<boolean> {
    return (await stat(this.at(sha256)).catch(unlessAbsent)) !== null;
  }

  async read(sha256: string): Promise<Readable> {
    return createReadStream(this.at(sha256), { highWaterMark: 1 << 20 });
  }

  async remove(sha256: string): Promise<void> {
    await rm(this.at(sha256), { force: true });
  }

  async *list(): AsyncGenerator<StoredArtifact> {
    for (const sha256 of (await readdir(this.folder).catch(unlessAbsent)) ?? []) {
      if (!digest.test(sha256)) continue;
      const found = await stat(this.at(sha256)).catch(unlessAbsent);
      if (found) yield { sha256, sizeBytes: found.size, modifiedAt: found.mtime };
    }
  }

  /** A rename outlives a power cut once its folder is synced. Where folders cannot be, the system does so in its own time. */
  private async syncFolder(): Promise<void> {
    const folder = await open(this.folder, "r").catch(() => null);
    await folder?.sync().catch(() => {});
    await folder?.close();
  }
}
