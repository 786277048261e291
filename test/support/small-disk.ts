import { execFileSync } from "node:child_process";
import { mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SmallDisk {
  readonly folder: string;
  /** Leaves so many bytes. */
  fill(leaving: number): Promise<void>;
  /** Makes room again. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

/** A file system of its own of 64 MiB; null where this machine lets us have none. */
export async function smallDisk(): Promise<SmallDisk | null> {
  const folder = await mkdtemp(join(tmpdir(), "espalier-full-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${64 << 20}`, "tmpfs", folder], { stdio: "ignore" });
  } catch {
    await rm(folder, { recursive: true });
    return null;
  }
  const ballast = join(folder, "ballast");
  return {
    folder,
    async fill(leaving) {
      const { bavail, bsize } = await statfs(folder);
      await writeFile(ballast, Buffer.alloc(Math.max(0, bavail * bsize - leaving)));
    },
    empty: () => rm(ballast),
    async close() {
      execFileSync("umount", [folder]);
      await rm(folder, { recursive: true });
    },
  };
}
